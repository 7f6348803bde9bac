//! The provisioning file as people really write it: with Windows' notepad, a word processor, a telephone; and checked on a
//! laptop before it goes onto the card.

use super::provisioning::{Box, PRIMERO, code, good, path, run};
use tempfile::TempDir;

/// What editors, word processors and telephones make of a file: taken, or refused with words that help.
#[test]
fn what_an_editor_does_to_the_file_is_taken_or_named() {
    let khmer = good()
        .replace("# our office", "# ការិយាល័យខេត្ត")
        .replace(PRIMERO, "ពាក្យសម្ងាត់-១២៣");
    let place = Box::new();
    place.write(&format!("\u{feff}{}", khmer.replace('\n', "\r\n")));
    assert_eq!(code(&place.start()), 0, "{:?}", place.errors());
    assert_eq!(place.secret("primero.password").as_deref(), Some("ពាក្យសម្ងាត់-១២៣"));
    assert!(place.card_text().starts_with("# ការិយាល័យខេត្ត\r\n"));

    let wide = |mark: char, order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        format!("{mark}{}", good())
            .encode_utf16()
            .flat_map(order)
            .collect()
    };
    let cases = [
        (wide('\u{feff}', u16::to_le_bytes), "save it as \"UTF-8\""),
        (wide('\u{feff}', u16::to_be_bytes), "save it as \"UTF-8\""),
        (wide('#', u16::to_le_bytes), "save it as \"UTF-8\""),
        (
            good()
                .replace("\"kpt-03\"", "\u{201c}kpt-03\u{201d}")
                .into_bytes(),
            "line 3: ",
        ),
        (
            good()
                .replace("\"kpt-03\"", "\u{201c}kpt-03\u{201d}")
                .into_bytes(),
            "straight quotes",
        ),
        (
            good().replace("[primero]\n", "[primero]\u{a0}\n").into_bytes(),
            "invisible character",
        ),
        (
            good()
                .replace("our office", "caf\u{e9}")
                .chars()
                .map(|c| c as u8)
                .collect(),
            "plain text",
        ),
        (vec![b'#'; 65 * 1024], "longer than"),
        (Vec::new(), "gateway"),
    ];
    for (bytes, words) in cases {
        let place = Box::new();
        std::fs::write(place.card(), &bytes).unwrap();
        assert_eq!(code(&place.start()), 3, "{words}");
        let errors = place.errors().unwrap();
        assert!(errors.contains(words), "{words}: {errors}");
        assert_eq!(
            std::fs::read(place.card()).unwrap(),
            bytes,
            "the technician's file is left alone"
        );
        assert!(!place.at("data/config/current").exists(), "{words}");
    }
}

#[test]
fn the_example_is_checked_on_the_laptop() {
    let folder = TempDir::new().unwrap();
    let example = String::from_utf8(run(&["provision", "new"]).stdout).unwrap();
    let file = folder.path().join("gateway.txt");
    std::fs::write(&file, &example).unwrap();
    let output = run(&["provision", "check", path(&file)]);
    assert_eq!(code(&output), 3);
    let errors = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<usize> = errors
        .lines()
        .filter_map(|line| line.strip_prefix("line ")?.split(':').next()?.parse().ok())
        .collect();
    assert!(
        lines.is_sorted() && lines.len() > 8,
        "from the top down: {errors}"
    );
    let nowhere = run(&["provision", "check", "/nowhere/gateway.txt"]);
    let words = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert!(
        words.contains("/nowhere/gateway.txt") && !words.contains("card"),
        "{words}"
    );
    for (index, line) in example.lines().enumerate() {
        let gap = line.contains("FILL-IN") && !line.starts_with('#');
        let told = errors.contains(&format!("line {}: ", index + 1));
        assert_eq!(gap, told, "line {}: {errors}", index + 1);
    }
    let filled = example
        .replace("id = \"FILL-IN\"", "id = \"kpt-03\"")
        .replace("[\"FILL-IN\"]", "[\"cif\"]")
        .replace("FILL-IN", "a.filled.in.place.example");
    std::fs::write(&file, filled).unwrap();
    let output = run(&["provision", "check", path(&file)]);
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(!folder.path().join("gateway-errors.txt").exists());
}
