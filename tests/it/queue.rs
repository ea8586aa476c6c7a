//! Modes `async` and `auto`: accepted fast, run later, tried again, dead, replayed; nothing
//! acknowledged is lost and nothing is stored twice, however the process ends.

mod operator;
mod run;
mod stop;

const OPEN: &str = "\n[verify]\nscheme = \"none\"\n";

const STORE: &str = "\n[settings]\ntable = \"t\"\nfields = { n = \"/n\" }\n[allow]\n\
     table = [\"t\"]\n[dedup]\nid = { header = \"Id\" }\n";

fn store(mode: &str) -> String {
    format!("mode = \"{mode}\"\n{OPEN}{STORE}")
}
