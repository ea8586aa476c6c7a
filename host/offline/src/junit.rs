//! The results as JUnit XML, which CI systems read.

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use crate::report::{CaseReport, Report};

// === impl Report ===

impl Report {
    /// One suite with the name of the hook, and one test for each case.
    pub fn to_junit(&self, hook: &str) -> String {
        let mut suite = TestSuite::new(hook);
        suite.add_test_cases(self.cases.iter().map(|case| test_case(hook, case)));
        let mut report = quick_junit::Report::new("landfall test");
        report.add_test_suite(suite);
        report.to_string().expect("a text can be written")
    }
}

fn test_case(hook: &str, case: &CaseReport) -> TestCase {
    let status = if case.is_passed() {
        TestCaseStatus::success()
    } else {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        let keys: Vec<&str> = case
            .differences
            .iter()
            .map(|difference| difference.key.as_str())
            .collect();
        status
            .set_message(format!("differs: {}", keys.join(", ")))
            .set_description(case.to_text());
        status
    };

    let mut test = TestCase::new(case.name.as_str(), status);
    test.set_classname(hook).set_time(case.duration);
    if let Some(run) = &case.run {
        test.set_system_out(run.log_lines().join("\n"));
    }
    test
}
