//! Takes orders.

const IS_NEXT: bool = false;

include!("../src/shop.rs");
