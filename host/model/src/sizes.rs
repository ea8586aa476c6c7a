//! The largest body of a hook, and the memory of an attempt.

/// The sizes in the hook file; `None` for those that it leaves out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SizeSpec {
    /// The largest body in bytes, decoded.
    pub max_body: Option<usize>,
    /// The most bytes of all linear memories of one attempt.
    pub memory: Option<usize>,
}

/// The sizes of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// The largest body in bytes, decoded.
    pub max_body: usize,
    /// The most bytes of all linear memories of one attempt.
    pub memory: usize,
}

// === impl Sizes ===

impl Sizes {
    /// Whether a body of this many bytes is accepted.
    pub fn takes_body(&self, bytes: usize) -> bool {
        bytes <= self.max_body
    }
}

/// How many parts a component may have. Each slot of the node's instance pool has this capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComponentLimits {
    /// Core instances. Python needs about 30.
    pub instances: u32,
    /// Linear memories.
    pub memories: u32,
    /// Tables.
    pub tables: u32,
    /// Elements of all tables together.
    pub table_elements: usize,
}

impl ComponentLimits {
    /// The defaults: enough for every language that was tested.
    pub const DEFAULT: ComponentLimits = ComponentLimits {
        instances: 64,
        memories: 4,
        tables: 16,
        table_elements: 20_000,
    };
}

const MIB: usize = 1 << 20;
const MAX_BODY_DEFAULT: usize = MIB;
/// Memory of the component itself, without a body.
const OWN_MEMORY: usize = 4 * MIB;
/// A handler that returns the body has four copies of it: measured with `echo`.
const COPIES_MIN: usize = 4;
/// A handler that parses a body of small JSON objects needs ten times the body: measured with
/// `store`.
const COPIES_DEFAULT: usize = 10;

// === impl SizeSpec ===

impl SizeSpec {
    /// The greatest `max_body`.
    pub const MAX_BODY_LIMIT: usize = 64 * MIB;
    /// The default, unless the body needs more.
    pub(crate) const MEMORY_DEFAULT: usize = 64 * MIB;
    /// The greatest `[limits] memory`.
    pub const MEMORY_LIMIT: usize = 1 << 30;

    /// The sizes of a hook. `provider_max` is the largest body that the provider documents,
    /// `node_bodies` the node's memory for all bodies. The error has the key in the hook file and a
    /// sentence.
    pub fn resolve(
        self,
        provider_max: Option<u64>,
        node_bodies: usize,
    ) -> Result<Sizes, (&'static [&'static str], String)> {
        let documented = provider_max
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(MAX_BODY_DEFAULT);
        let usual = documented
            .clamp(MAX_BODY_DEFAULT, SizeSpec::MAX_BODY_LIMIT)
            .min(node_bodies);
        let max_body = self.max_body.unwrap_or(usual);
        if max_body > node_bodies {
            let (body, node) = (shown(max_body), shown(node_bodies));
            let way_out = "write a smaller max_body, or raise limits.body_memory of the node";
            return Err((
                &["max_body"],
                format!(
                    "max_body {body} is above the {node} that the node has for all bodies: {way_out}"
                ),
            ));
        }

        let least = max_body.saturating_mul(COPIES_MIN);
        let usual = (OWN_MEMORY + max_body.saturating_mul(COPIES_DEFAULT))
            .clamp(SizeSpec::MEMORY_DEFAULT, SizeSpec::MEMORY_LIMIT);
        match self.memory {
            Some(memory) if memory < least => {
                let from = match (self.max_body, provider_max) {
                    (None, Some(_)) => " (the most that the provider sends)",
                    _ => "",
                };
                let body = shown(max_body);
                let enough = in_mib((OWN_MEMORY + least).div_ceil(MIB));
                let fits = match memory.saturating_sub(OWN_MEMORY) / COPIES_MIN / MIB {
                    0 => String::new(),
                    mib => format!(", or max_body = \"{}\"", in_mib(mib)),
                };
                Err((
                    &["limits", "memory"],
                    format!(
                        "memory {} is too small for max_body {body}{from}: a handler needs at least four times the body; write memory = \"{enough}\"{fits}",
                        shown(memory)
                    ),
                ))
            }
            memory => Ok(Sizes {
                max_body,
                memory: memory.unwrap_or(usual),
            }),
        }
    }
}

fn in_mib(mib: usize) -> String {
    format!("{mib}MiB")
}

fn shown(bytes: usize) -> String {
    bytesize::ByteSize(bytes as u64).display().iec().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(
        max_body: Option<usize>,
        memory: Option<usize>,
        provider: Option<u64>,
    ) -> Result<(usize, usize), String> {
        let mib = |size: Option<usize>| size.map(|mib| mib * MIB);
        let spec = SizeSpec {
            max_body: mib(max_body),
            memory: mib(memory),
        };
        let sizes = spec
            .resolve(provider, 256 * MIB)
            .map_err(|(_, message)| message)?;
        Ok((sizes.max_body / MIB, sizes.memory / MIB))
    }

    #[test]
    fn sizes_follow_the_provider() {
        assert_eq!(resolved(None, None, None), Ok((1, 64)));
        assert_eq!(resolved(None, None, Some(26_214_400)), Ok((25, 254)));
        assert_eq!(resolved(None, None, Some(1000)), Ok((1, 64)));
        assert_eq!(resolved(None, None, Some(1 << 40)), Ok((64, 644)));
        assert_eq!(resolved(Some(2), None, Some(26_214_400)), Ok((2, 64)));
        assert_eq!(resolved(Some(26), Some(200), None), Ok((26, 200)));
        let spec = SizeSpec::default()
            .resolve(Some(26_214_400), 8 * MIB)
            .unwrap();
        assert_eq!(spec.max_body, 8 * MIB);
    }

    #[test]
    fn memory_must_hold_the_body() {
        assert_eq!(
            resolved(Some(26), Some(24), None).unwrap_err(),
            "memory 24.0 MiB is too small for max_body 26.0 MiB: a handler needs at least four times the body; write memory = \"108MiB\", or max_body = \"5MiB\""
        );
        assert_eq!(
            resolved(None, Some(64), Some(26_214_400)).unwrap_err(),
            "memory 64.0 MiB is too small for max_body 25.0 MiB (the most that the provider sends): a handler needs at least four times the body; write memory = \"104MiB\", or max_body = \"15MiB\""
        );
        assert_eq!(resolved(Some(26), Some(108), None), Ok((26, 108)));
        assert_eq!(resolved(Some(5), Some(24), None), Ok((5, 24)));
        let above = SizeSpec {
            max_body: Some(2 * MIB),
            memory: None,
        }
        .resolve(None, MIB)
        .unwrap_err();
        assert_eq!(above.0, ["max_body"]);
    }
}
