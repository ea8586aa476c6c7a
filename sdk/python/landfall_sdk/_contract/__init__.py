"""The host in a component: each module wraps one interface of the contract. None can be imported outside a component."""
