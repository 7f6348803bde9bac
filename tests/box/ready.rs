//! A box that is set up, and why it started.

use crate::far::Far;
use crate::host::wait_until;
use crate::machine::Machine;

impl Machine {
    /// Sets the box up from its card and waits until the desk sees it and its shell is there.
    pub fn set_up(&mut self, far: &Far) {
        self.write_to_card("gateway.txt", far.gateway_txt().as_bytes());
        self.start();
        far.desk_sees("online");
        self.wait_for_shell();
    }

    /// Waits until the box says why it started: the shell is there before the data partition is.
    pub fn started_because(&mut self, wanted: &str) {
        wait_until(&format!("the reason {wanted:?}"), || {
            self.shell("cat /var/lib/referral-gateway/boot/reason").0 == wanted
        });
    }
}
