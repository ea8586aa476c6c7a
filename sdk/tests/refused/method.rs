use landfall_sdk::{Event, Failure, handler};

struct Deploy;

impl Deploy {
    #[handler]
    fn on_event(&self, _: Event) -> Result<(), Failure> {
        Ok(())
    }
}

fn main() {}
