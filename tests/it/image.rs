//! The image: built from the Dockerfile, started as a deployment does it, asked for its first answer (`.ci/image`). It needs
//! buildah and the two images that it begins with (`.ci/base-images`).

use std::process::Command;

use landfall_tests::require::{missing, not_applicable};
use landfall_tests::root;

#[test]
fn the_built_image_answers_a_webhook() {
    let user = Command::new("id").arg("-u").output().unwrap();
    if user.stdout.trim_ascii() != b"0" {
        return not_applicable("only root can build the image without a container service");
    }
    if ![
        "localhost/rust:1-bookworm",
        "localhost/debian:bookworm-slim",
    ]
    .into_iter()
    .all(has_image)
    {
        missing("buildah, or the images that .ci/base-images makes, are not there");
        return;
    }
    let output = Command::new(root().join(".ci/image"))
        .current_dir(root())
        .output()
        .expect("bash is there");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{said}");
    assert!(said.contains("first webhook answered after"), "{said}");
}

fn has_image(image: &str) -> bool {
    let mut inspect = Command::new("buildah");
    inspect.args([
        "--storage-driver",
        "overlay",
        "inspect",
        "--type",
        "image",
        image,
    ]);
    inspect.output().is_ok_and(|output| output.status.success())
}
