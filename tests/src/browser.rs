//! A real browser (Debian's chromium and chromium-driver), driven over WebDriver. Each has a profile and a driver of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::Node;
use crate::eventually;
use crate::ports::free_port;
use crate::require::missing;

/// No page of a test needs longer, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// How a browser shows pages.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Of the window, in CSS pixels.
    pub width: u32,
    /// Of the window, in CSS pixels.
    pub height: u32,
    /// Whether pages are asked for dark colours.
    pub is_dark: bool,
    /// Whether pages may run scripts.
    pub has_script: bool,
}

/// A browser, logged in to the dashboard of one node.
pub struct Browser {
    client: Client,
    driver: Child,
    _profile: tempfile::TempDir,
    /// `http://…` of the admin listener.
    base: String,
}

// === impl Look ===

impl Look {
    /// A light desktop with scripts.
    pub const DESKTOP: Look = Look {
        width: 1440,
        height: 900,
        is_dark: false,
        has_script: true,
    };
    /// A light phone with scripts.
    pub const PHONE: Look = Look {
        width: 390,
        height: 844,
        ..Look::DESKTOP
    };

    /// The same in dark colours.
    pub fn dark(self) -> Look {
        Look {
            is_dark: true,
            ..self
        }
    }

    /// The same without scripts.
    pub fn without_script(self) -> Look {
        Look {
            has_script: false,
            ..self
        }
    }

    /// For names of files: `390-dark`.
    pub fn name(self) -> String {
        let colours = if self.is_dark { "dark" } else { "light" };
        let script = if self.has_script { "" } else { "-no-script" };
        format!("{}-{colours}{script}", self.width)
    }

    fn capabilities(self, profile: &std::path::Path) -> serde_json::Map<String, Value> {
        let scheme = if self.is_dark { 0 } else { 1 };
        let args = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--hide-scrollbars".to_owned(),
            format!("--blink-settings=preferredColorScheme={scheme}"),
            format!("--window-size={},{}", self.width.max(500), self.height),
            format!("--user-data-dir={}", profile.display()),
        ];
        // 1: allowed, 2: blocked.
        let script = if self.has_script { 1 } else { 2 };
        let mut options = json!({
            "args": args,
            "prefs": { "profile.managed_default_content_settings.javascript": script },
        });
        // A window cannot be as narrow as a phone.
        if self.width < 500 {
            let metrics = json!({ "width": self.width, "height": self.height, "pixelRatio": 1.0 });
            options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
        }
        let mut capabilities = serde_json::Map::new();
        capabilities.insert("browserName".into(), "chrome".into());
        capabilities.insert("goog:chromeOptions".into(), options);
        capabilities
    }
}

// === impl Browser ===

impl Browser {
    /// A browser at the login page of a node; none, and a plain line, where the programs are not installed.
    pub async fn start(node: &Node, look: Look) -> Option<Browser> {
        let port = free_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(driver) = driver else {
            missing("chromedriver is not installed (chromium, chromium-driver)");
            return None;
        };

        let profile = tempfile::tempdir().expect("a temporary folder");
        let url = format!("http://127.0.0.1:{port}");
        let client = eventually("a browser starts", || async {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(look.capabilities(profile.path()));
            builder.connect(&url).await.ok()
        })
        .await;
        let browser = Browser {
            client,
            driver,
            _profile: profile,
            base: format!("http://{}", node.admin),
        };
        browser.goto("/login").await;
        Some(browser)
    }

    /// Logs in with the token of the node.
    pub async fn log_in(&self, node: &Node) {
        self.log_in_with(&node.admin_token()).await;
    }

    /// Logs in with this token.
    pub async fn log_in_with(&self, token: &str) {
        self.goto("/login").await;
        self.fill("#token", token).await;
        self.click("form button").await;
        self.wait_for("nav[aria-label=Pages]").await;
    }

    /// Opens a page of the admin listener.
    pub async fn goto(&self, path: &str) {
        let url = format!("{}{path}", self.base);
        self.client.goto(&url).await.expect("the page opens");
    }

    /// Clicks the first element, once it is there.
    pub async fn click(&self, css: &str) {
        self.wait_for(css).await;
        let clicked = self
            .client
            .find(Locator::Css(css))
            .await
            .expect(css)
            .click()
            .await;
        clicked.unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Clicks the first link with this text.
    pub async fn follow(&self, text: &str) {
        let link = self.client.find(Locator::LinkText(text)).await.expect(text);
        link.click()
            .await
            .unwrap_or_else(|error| panic!("{text}: {error}"));
    }

    /// Replaces the text of a field.
    pub async fn fill(&self, css: &str, text: &str) {
        self.wait_for(css).await;
        let field = self.client.find(Locator::Css(css)).await.expect(css);
        field.clear().await.expect("a field can be cleared");
        field.send_keys(text).await.expect("a field takes text");
    }

    /// Presses keys on the page.
    pub async fn press(&self, keys: &str) {
        let active = self
            .client
            .active_element()
            .await
            .expect("an element is active");
        active.send_keys(keys).await.expect("a page takes keys");
    }

    /// Waits until an element is there.
    pub async fn wait_for(&self, css: &str) {
        let until = Instant::now() + LIMIT;
        while !self.has(css).await {
            assert!(
                Instant::now() < until,
                "waited for {css}\n{}",
                self.source().await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the page says this.
    pub async fn wait_for_text(&self, text: &str) {
        let until = Instant::now() + LIMIT;
        while !self.text("body").await.contains(text) {
            assert!(
                Instant::now() < until,
                "waited for {text}\n{}",
                self.source().await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Opens the page again until it says this: what a person does without scripts.
    pub async fn reload_until(&self, text: &str) {
        let until = Instant::now() + LIMIT;
        while !self.text("body").await.contains(text) {
            assert!(
                Instant::now() < until,
                "waited for {text}\n{}",
                self.source().await
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.client.refresh().await.expect("a page loads again");
        }
    }

    /// Whether an element is there.
    pub async fn has(&self, css: &str) -> bool {
        self.count(css).await > 0
    }

    /// The number of elements.
    pub async fn count(&self, css: &str) -> usize {
        let found = self.client.find_all(Locator::Css(css)).await;
        found.map_or(0, |found| found.len())
    }

    /// The visible text of the first element. An element that was just replaced has none.
    pub async fn text(&self, css: &str) -> String {
        match self.client.find(Locator::Css(css)).await {
            Ok(element) => element.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// The markup of the page.
    pub async fn source(&self) -> String {
        self.client.source().await.unwrap_or_default()
    }

    /// The path and query of the page.
    pub async fn path(&self) -> String {
        let url = self.client.current_url().await.expect("a page is open");
        let query = url.query().map(|query| format!("?{query}"));
        format!("{}{}", url.path(), query.unwrap_or_default())
    }

    /// The value of a script.
    pub async fn script(&self, code: &str) -> Value {
        let value = self.client.execute(code, Vec::new()).await;
        value.unwrap_or_else(|error| panic!("{code}: {error}"))
    }

    /// Stores a picture of the page in the output folder of the tests.
    pub async fn screenshot(&self, folder: &std::path::Path, name: &str) {
        std::fs::create_dir_all(folder).expect("a writable folder");
        let picture = self
            .client
            .screenshot()
            .await
            .expect("a page has a picture");
        assert!(picture.len() > 1_000, "{name} is empty");
        std::fs::write(folder.join(format!("{name}.png")), picture).expect("a writable folder");
    }

    /// What axe-core finds that is serious or critical: rule, help and place of each. None, and a plain line, where it is not
    /// installed.
    pub async fn axe(&self) -> Option<Vec<String>> {
        let tools = PathBuf::from(std::env::var_os("LANDFALL_SDK").unwrap_or_default());
        let Ok(axe) = std::fs::read_to_string(tools.join("node_modules/axe-core/axe.min.js"))
        else {
            missing("axe-core is not in LANDFALL_SDK (.ci/run sdks)");
            return None;
        };
        self.script(&axe).await;
        let run = "const done = arguments[arguments.length - 1];
            const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
            axe.run(document, { runOnly: tags }).then(
                (result) => done(result.violations
                    .filter((found) => ['serious', 'critical'].includes(found.impact))
                    .flatMap((found) => found.nodes.map((node) =>
                        `${found.id}: ${found.help}: ${node.target}: ${node.failureSummary}`))),
                (error) => done([String(error)]));";
        let found = self
            .client
            .execute_async(run, Vec::new())
            .await
            .expect("axe-core runs");
        let found = found.as_array().expect("a list").iter();
        Some(
            found
                .map(|one| one.as_str().unwrap_or_default().to_owned())
                .collect(),
        )
    }

    /// Ends the browser.
    pub async fn close(self) {
        self.client.clone().close().await.ok();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}
