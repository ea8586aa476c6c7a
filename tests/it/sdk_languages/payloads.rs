//! The payload types of the TypeScript SDK (`sdk/js/lib/providers`): they are those of the Rust SDK, and take what providers send.

use std::collections::BTreeSet;
use std::fmt::Write;

use landfall_tests::root;
use landfall_tests::sdks::{Sdk, SdkFolder, succeeded};
use reqwest::Url;
use serde_json::Value;

use super::typescript_types::{LEFT_OUT, PROVIDERS};

#[test]
fn payload_types_are_those_of_rust() {
    let mut used = BTreeSet::new();
    for provider in &PROVIDERS {
        let name = format!("sdk/js/lib/providers/{}.d.ts", provider.name);
        let path = root().join(&name);
        let expected = provider.declarations(&mut used);
        if std::env::var_os("LANDFALL_UPDATE_DOCS").is_some() {
            std::fs::write(&path, &expected).expect("the file can be written");
        }
        let present = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            present == expected,
            "{name} differs from sdk/src/providers: write it anew with LANDFALL_UPDATE_DOCS=1"
        );
    }
    for left_out in LEFT_OUT {
        assert!(used.contains(&left_out), "{left_out:?} is not in Rust");
    }
}

/// Whole payloads that GitHub and Slack document fit their types. The samples of packs are cut short: what they have fits.
#[test]
fn payload_types_accept_the_samples() {
    let Some(folder) = SdkFolder::with_cases(Sdk::TypeScript) else {
        return;
    };
    let mut text = String::from(
        "import type * as github from \"landfall-sdk/github\";\n\
         import type * as shopify from \"landfall-sdk/shopify\";\n\
         import type * as slack from \"landfall-sdk/slack\";\n\
         import type * as stripe from \"landfall-sdk/stripe\";\n\n\
         type Part<T> = T extends (infer E)[] ? Part<E>[] : T extends object ? { [K in keyof T]?: Part<T[K]> } : T;\n\
         declare function fits<T>(): <S extends T>(payload: S) => void;\n\n",
    );
    let recorded = recorded();
    assert!(recorded.len() >= 15, "{} payloads", recorded.len());
    for (kind, payload) in &recorded {
        writeln!(text, "fits<github.Events[{kind:?}]>()({payload});")
            .expect("a String takes any text");
    }
    let samples = [
        ("github", "Part<github.Events[\"push\"]>"),
        ("stripe", "Part<stripe.Event>"),
        ("shopify", "Part<shopify.Events[\"orders/create\"]>"),
        ("slack", "slack.Callback"),
        ("slack-interactivity", "Part<slack.Interaction>"),
    ];
    for (pack, ty) in samples {
        writeln!(text, "fits<{ty}>()({});", sample(pack)).expect("a String takes any text");
    }
    text.push_str(
        "// @ts-expect-error a number is no text\nfits<github.Events[\"push\"]>()({ ref: 1 });\n\
         // @ts-expect-error the field is not optional\nfits<stripe.Payout>()({ id: \"po_1\" });\n",
    );
    succeeded(&folder.file("src/payloads.ts", &text).check_types());
}

/// GitHub and Stripe publish types of what they send.
#[test]
fn payload_types_accept_published_types() {
    let Some(folder) = SdkFolder::with_cases(Sdk::TypeScript)
        .and_then(|folder| folder.with_package("@octokit/openapi-webhooks-types"))
        .and_then(|folder| folder.with_package("stripe"))
    else {
        return;
    };
    let config = folder.path().join("tsconfig.json");
    let config = std::fs::read_to_string(config).expect("the cases have one");
    // Their declarations name types of Node.js.
    let config = config.replace("\"strict\"", "\"skipLibCheck\": true,\n    \"strict\"");
    let folder = folder
        .file("tsconfig.json", &config)
        // The cases expect that there is no Node.js.
        .file("src/types.ts", "export {};\n")
        .file("src/published.ts", include_str!("published.ts"));
    succeeded(&folder.check_types());
}

/// Payloads that were recorded at GitHub, with their kinds. Kinds without a type are left out.
fn recorded() -> Vec<(String, String)> {
    let typed: BTreeSet<String> = PROVIDERS[0]
        .kinds()
        .into_iter()
        .map(|kind| kind.value)
        .collect();
    let files = std::fs::read_dir(root().join("tests/fixtures/github")).expect("the folder exists");
    let mut recorded: Vec<(String, String)> = files
        .filter_map(|file| {
            let path = file.expect("the folder can be read").path();
            let (kind, _) = path.file_stem()?.to_str()?.split_once('-')?;
            let payload = std::fs::read_to_string(&path).expect("the file is text");
            typed
                .contains(kind)
                .then(|| (kind.to_owned(), payload.trim().to_owned()))
        })
        .collect();
    recorded.sort();
    recorded
}

/// The sample of a provider pack, as JSON.
fn sample(pack: &str) -> String {
    let path = root().join(format!("host/verify/src/packs/{pack}.toml"));
    let pack: toml::Table = std::fs::read_to_string(path)
        .expect("the pack exists")
        .parse()
        .expect("a pack is TOML");
    let sample = pack["sample"].as_str().expect("a sample is text");
    if serde_json::from_str::<Value>(sample).is_ok() {
        return sample.to_owned();
    }
    let form = Url::parse(&format!("http://form/?{sample}")).expect("a form");
    let mut fields = form.query_pairs();
    let payload = fields.find(|(name, _)| name == "payload");
    payload.expect("a form with a payload").1.into_owned()
}
