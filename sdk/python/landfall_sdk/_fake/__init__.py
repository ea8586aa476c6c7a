"""The host of native tests, which `landfall_sdk.testing` sets up."""
