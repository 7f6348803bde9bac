//! A configured address: what requests are built on, and the name the certificate must bear.

use rustls::pki_types::ServerName;
use std::fmt;
use ureq::http;

/// Why there is no client; for whoever wrote the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// Not a URL of the form `https://host[:port][/path]`.
    Malformed,
    /// Another scheme than https. There is no switch for it.
    NotHttps,
    /// User name or password inside the URL: they would end up in logs.
    Credentials,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressError::Malformed => "not an address; write https://host, https://host:port or with a path",
            AddressError::NotHttps => "the address must begin with https://; plain http is not supported",
            AddressError::Credentials => {
                "the address holds a user name or password; move it to its own setting"
            }
        })
    }
}

impl std::error::Error for AddressError {}

/// Splits a configured address into what requests are built on and the name the certificate must bear.
pub fn parse(address: &str) -> Result<(String, ServerName<'static>), AddressError> {
    let uri: http::Uri = address.parse().map_err(|_| AddressError::Malformed)?;
    if uri.scheme_str() != Some("https") {
        let other = uri.scheme().is_some();
        return Err(if other {
            AddressError::NotHttps
        } else {
            AddressError::Malformed
        });
    }
    let authority = uri.authority().ok_or(AddressError::Malformed)?;
    if authority.as_str().contains('@') {
        return Err(AddressError::Credentials);
    }
    if uri.query().is_some() || address.contains('#') {
        return Err(AddressError::Malformed);
    }
    let name = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let host = ServerName::try_from(name).map_err(|_| AddressError::Malformed)?;
    Ok((
        format!("https://{authority}{}", uri.path().trim_end_matches('/')),
        host,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_without_credentials() {
        let refused = |address: &str| parse(address).err();
        assert_eq!(
            refused("http://primero.example.org"),
            Some(AddressError::NotHttps)
        );
        assert_eq!(
            refused("https://user:secret@primero.example.org"),
            Some(AddressError::Credentials)
        );
        assert_eq!(
            refused("https://primero.example.org?x=1"),
            Some(AddressError::Malformed)
        );
        assert_eq!(
            refused("https://primero.example.org#x"),
            Some(AddressError::Malformed)
        );
        assert_eq!(refused("primero.example.org"), Some(AddressError::Malformed));
        assert_eq!(refused(""), Some(AddressError::Malformed));
    }

    #[test]
    fn a_path_prefix_stays_and_the_last_slash_goes() {
        let base = |address: &str| parse(address).map(|(base, _)| base);
        assert_eq!(base("https://a.example").as_deref(), Ok("https://a.example"));
        assert_eq!(
            base("https://a.example:8443/primero/").as_deref(),
            Ok("https://a.example:8443/primero")
        );
        assert_eq!(base("https://[::1]:8443/").as_deref(), Ok("https://[::1]:8443"));
    }
}
