//! The image: built from the Dockerfile, started as a deployment does it, asked for its first answer (`.ci/image`). Skipped, in words,
//! where buildah or the two images that it begins with (`.ci/base-images`) are not there.

use std::process::Command;

use landfall_tests::root;

#[test]
fn the_image_is_built_and_answers_its_first_webhook() {
    let has = |image: &str| {
        let mut inspect = Command::new("buildah");
        inspect.args(["--storage-driver", "overlay", "inspect", "--type", "image", image]);
        inspect.output().is_ok_and(|output| output.status.success())
    };
    if !["localhost/rust:1-bookworm", "localhost/debian:bookworm-slim"].into_iter().all(has) {
        println!("skipped: buildah, or the images that .ci/base-images makes, are not there");
        return;
    }
    let output = Command::new(root().join(".ci/image")).current_dir(root()).output().expect("bash is there");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    assert!(said.contains("first webhook answered after"), "{said}");
}
