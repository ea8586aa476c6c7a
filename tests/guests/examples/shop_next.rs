//! As `shop`, and differs in the amount of order 202, in the row of order 303 and in the reply to order 101.

const IS_NEXT: bool = true;

include!("../src/shop.rs");
