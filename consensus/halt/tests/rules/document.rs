//! Tests that `docs/halts.md` names exist.

use std::fs;
use std::path::Path;

#[test]
fn every_test_that_the_operators_are_told_of_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let document = fs::read_to_string(root.join("docs/halts.md")).unwrap();
    let (_, section) = document.split_once("<!-- tests: begin -->").unwrap();
    let (section, _) = section.split_once("<!-- tests: end -->").unwrap();
    let mut found = 0;
    for named in section.split('`').skip(1).step_by(2) {
        let (place, test) = named.split_once("::").expect("crate/module::test");
        let file = if place.ends_with(".rs") {
            place.to_owned()
        } else {
            let (package, module) = place.split_once('/').expect("crate/module::test");
            format!("consensus/{package}/tests/rules/{module}.rs")
        };
        let file = root.join(file);
        let source = fs::read_to_string(&file).unwrap_or_default();
        assert!(source.contains(&format!("fn {test}(")), "{named} is gone");
        found += 1;
    }
    assert!(found > 20, "only {found} tests are named");
}
