//! wasmtime's settings. Those that affect machine code are the same for compiling and running. Only
//! running has a pool.

pub(crate) use landfall_model::ComponentLimits;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy};

/// The most bytes of one linear memory.
const MEMORY_BYTES_MAX: usize = 1 << 30;
const STACK_BYTES: usize = 512 << 10;
/// Instances for testing new components while all others are in use.
const PROBES: u32 = 2;
/// The most shadow runs at a time. They take no permit from the other attempts, so that each has an
/// instance of its own.
pub const SHADOW_RUNS_MAX: usize = 4;
/// Memories of ended attempts that stay mapped for the next attempt of the same code. An attempt of
/// code without such a memory maps one anew, which makes its event take three times as long. Each
/// unused memory keeps at most `MEMORY_KEPT_BYTES`, so all of them keep 250 MiB. Tables are not
/// bound to code: the next attempt takes any.
const WARM_MEMORIES_MAX: u32 = 1000;
/// Includes the host functions that a guest calls.
const ASYNC_STACK_BYTES: usize = 1 << 20;
/// What stays of a memory whose attempt has ended.
const MEMORY_KEPT_BYTES: usize = 256 << 10;

/// For the process that serves: a pool for `running` attempts at a time. `clear_stacks`: the stack
/// of an attempt is cleared before another one gets it.
pub(crate) fn running(running: usize, limits: ComponentLimits, clear_stacks: bool) -> Config {
    let mut config = compiling();
    config.async_stack_zeroing(clear_stacks);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(running, limits)));
    config
}

/// For the child that compiles.
pub(crate) fn compiling() -> Config {
    let mut config = Config::new();
    config.strategy(Strategy::Cranelift);
    // Features that the contract does not need and that had advisories are off. Guards and spectre
    // mitigations stay on.
    config.wasm_memory64(false);
    config.wasm_relaxed_simd(false);
    config.wasm_tail_call(false);
    config.epoch_interruption(true);
    config.max_wasm_stack(STACK_BYTES);
    config.async_stack_size(ASYNC_STACK_BYTES);
    config
}

/// Reserves address space, not memory. Memory of a finished attempt is zeroed in place up to the
/// `keep_resident` sizes, not returned to the system: that makes a fresh instance cheap.
fn pool(running: usize, limits: ComponentLimits) -> PoolingAllocationConfig {
    let running = running + SHADOW_RUNS_MAX;
    let running = u32::try_from(running).expect("the config bounds it") + PROBES;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(running)
        .total_core_instances(running.saturating_mul(8).max(limits.instances))
        .total_memories(running.saturating_mul(2).max(limits.memories))
        .total_tables(running.saturating_mul(4).max(limits.tables))
        .total_stacks(running)
        .max_core_instances_per_component(limits.instances)
        .max_memories_per_component(limits.memories)
        .max_tables_per_component(limits.tables)
        .max_component_instance_size(2 << 20)
        .max_core_instance_size(2 << 20)
        .max_memory_size(MEMORY_BYTES_MAX)
        .table_elements(limits.table_elements)
        .linear_memory_keep_resident(MEMORY_KEPT_BYTES)
        .table_keep_resident(1 << 20)
        .async_stack_keep_resident(32 << 10)
        .max_unused_warm_slots(WARM_MEMORIES_MAX)
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use wasmtime::component::{Component, Linker};
    use wasmtime::{Engine, PoolConcurrencyLimitError, Store};

    use super::*;

    const RUNNING: usize = 1;

    #[test]
    fn shadow_runs_have_own_instances() {
        let config = running(RUNNING, ComponentLimits::DEFAULT, false);
        let engine = Engine::new(&config).unwrap();
        let component = Component::new(&engine, wat::parse_str("(component)").unwrap()).unwrap();
        let linker = Linker::<()>::new(&engine);
        let started = || {
            let mut store = Store::new(&engine, ());
            linker.instantiate(&mut store, &component).map(|_| store)
        };

        let most = RUNNING + PROBES as usize + SHADOW_RUNS_MAX;
        let stores: Vec<Store<()>> = (0..most).map(|_| started().unwrap()).collect();
        let error = started().err().unwrap();
        assert!(error.is::<PoolConcurrencyLimitError>(), "{error:#}");
        drop(stores);
        assert!(started().is_ok());
    }
}
