// Written from the Rust SDK: `LANDFALL_UPDATE_DOCS=1 cargo test --test it sdk_languages::payloads`.

/** Shopify. Source: shopify.dev/docs/api/webhooks. Amounts are text with a point, as Shopify sends them: `"10.00"`. */

/** The payloads, by event type: `event.json<Events["…"]>()`. */
export interface Events {
  "orders/create": Order;
  "orders/paid": Order;
  "orders/updated": Order;
  "orders/cancelled": Order;
  "orders/fulfilled": Order;
  "orders/partially_fulfilled": Order;
  "checkouts/create": Checkout;
  "checkouts/update": Checkout;
  "products/create": Product;
  "products/update": Product;
  "customers/create": Customer;
  "customers/update": Customer;
  "customers/enable": Customer;
  "customers/disable": Customer;
  "refunds/create": Refund;
  "fulfillments/create": Fulfillment;
  "fulfillments/update": Fulfillment;
  "inventory_levels/connect": InventoryLevel;
  "inventory_levels/update": InventoryLevel;
  "app/uninstalled": Shop;
  "shop/update": Shop;
  "orders/delete": Deleted;
  "products/delete": Deleted;
  "customers/delete": Deleted;
  "checkouts/delete": Deleted;
  "customers/data_request": PrivacyRequest;
  "customers/redact": PrivacyRequest;
  "shop/redact": PrivacyRequest;
}

/** An order. */
export interface Order {
  /** At Shopify. */
  id: number;
  /** For people: `#1001`. */
  name: string;
  /** The number in `name`. */
  order_number: number;
  /** Of the customer. */
  email?: string | null;
  /** Of the customer. */
  phone?: string | null;
  /** ISO 8601 with an offset. */
  created_at: string;
  /** ISO 8601 with an offset. */
  cancelled_at?: string | null;
  /** `customer`, `fraud`, `inventory`, … */
  cancel_reason?: string | null;
  /** ISO 4217: `EUR`. */
  currency: string;
  /** With taxes and shipping. */
  total_price: string;
  /** Without taxes and shipping. */
  subtotal_price: string;
  /** Taxes. */
  total_tax: string;
  /** `paid`, `pending`, `refunded`, … */
  financial_status?: string | null;
  /** `fulfilled`, `partial`; `null` until something is fulfilled. */
  fulfillment_status?: string | null;
  /** What was ordered. */
  line_items: LineItem[];
  /** `null` for orders without an account. */
  customer?: Customer | null;
  /** `null` if nothing is shipped. */
  shipping_address?: Address | null;
  /** `null` if the customer gave none. */
  billing_address?: Address | null;
  /** Text of the customer. */
  note?: string | null;
  /** Separated by commas. */
  tags: string;
  /** A test order. */
  test: boolean;
}

/** A line of an order. */
export interface LineItem {
  /** At Shopify. */
  id?: number | null;
  /** Of the product. */
  title: string;
  /** Of the variant. */
  variant_title?: string | null;
  /** Pieces. */
  quantity: number;
  /** Of one piece. */
  price: string;
  /** Of the shop. */
  sku?: string | null;
  /** `null` for a product that no longer exists. */
  product_id?: number | null;
  /** `null` for a variant that no longer exists. */
  variant_id?: number | null;
}

/** A customer. */
export interface Customer {
  /** At Shopify. */
  id: number;
  /** Of the customer. */
  email?: string | null;
  /** Of the customer. */
  phone?: string | null;
  /** Of the customer. */
  first_name?: string | null;
  /** Of the customer. */
  last_name?: string | null;
  /** Separated by commas. */
  tags: string;
}

/** An address. */
export interface Address {
  /** Of the person. */
  name?: string | null;
  /** Of the person. */
  company?: string | null;
  /** Street and number. */
  address1?: string | null;
  /** More of the address. */
  address2?: string | null;
  /** The postal code. */
  zip?: string | null;
  /** The city. */
  city?: string | null;
  /** The state or province. */
  province?: string | null;
  /** ISO 3166: `DE`. */
  country_code?: string | null;
  /** Of the person. */
  phone?: string | null;
}

/** A checkout that is not an order yet. */
export interface Checkout {
  /** At Shopify. */
  id: number;
  /** In the addresses of the checkout. */
  token: string;
  /** Of the customer. */
  email?: string | null;
  /** ISO 8601 with an offset. */
  created_at: string;
  /** `null` until there is an order. */
  completed_at?: string | null;
  /** Where the customer continues. */
  abandoned_checkout_url?: string | null;
  /** ISO 4217: `EUR`. */
  currency: string;
  /** With taxes and shipping. */
  total_price: string;
  /** What is in the cart. */
  line_items: LineItem[];
  /** `null` without an account. */
  customer?: Customer | null;
}

/** A product. */
export interface Product {
  /** At Shopify. */
  id: number;
  /** The title. */
  title: string;
  /** In the address of the product. */
  handle: string;
  /** The description. */
  body_html?: string | null;
  /** The brand. */
  vendor: string;
  /** A category of the shop. */
  product_type: string;
  /** `active`, `archived` or `draft`. */
  status: string;
  /** Separated by commas. */
  tags: string;
  /** At least one. */
  variants: Variant[];
}

/** A variant of a product. */
export interface Variant {
  /** At Shopify. */
  id: number;
  /** The title. */
  title: string;
  /** Of one piece. */
  price: string;
  /** Of the shop. */
  sku?: string | null;
  /** Pieces in stock. */
  inventory_quantity?: number | null;
  /** The item of an inventory level. */
  inventory_item_id?: number | null;
}

/** A refund of an order. */
export interface Refund {
  /** At Shopify. */
  id: number;
  /** The order. */
  order_id: number;
  /** ISO 8601 with an offset. */
  created_at: string;
  /** Text of the shop. */
  note?: string | null;
  /** What is given back. */
  refund_line_items: unknown[];
  /** The payments. */
  transactions: Transaction[];
}

/** A payment. */
export interface Transaction {
  /** At Shopify. */
  id: number;
  /** `refund`, `sale`, `capture`, … */
  kind: string;
  /** `success`, `pending`, `failure` or `error`. */
  status: string;
  /** Of the payment. */
  amount: string;
  /** ISO 4217: `EUR`. */
  currency?: string | null;
  /** Who moved the money. */
  gateway?: string | null;
}

/** A shipment. */
export interface Fulfillment {
  /** At Shopify. */
  id: number;
  /** The order. */
  order_id: number;
  /** `success`, `pending`, `cancelled`, … */
  status: string;
  /** ISO 8601 with an offset. */
  created_at: string;
  /** The carrier. */
  tracking_company?: string | null;
  /** Of the first parcel. */
  tracking_number?: string | null;
  /** The pages of the parcels. */
  tracking_urls: string[];
  /** What is shipped. */
  line_items: LineItem[];
}

/** The stock of an item at a location. */
export interface InventoryLevel {
  /** The item of a variant. */
  inventory_item_id: number;
  /** Where. */
  location_id: number;
  /** Pieces; `null` if they are not counted. */
  available?: number | null;
  /** ISO 8601 with an offset. */
  updated_at: string;
}

/** A shop. */
export interface Shop {
  /** At Shopify. */
  id: number;
  /** The name. */
  name: string;
  /** Of the owner. */
  email?: string | null;
  /** The host name for customers. */
  domain: string;
  /** `name.myshopify.com`. */
  myshopify_domain: string;
  /** ISO 4217: `EUR`. */
  currency: string;
  /** The plan. */
  plan_name?: string | null;
}

/** What was deleted. */
export interface Deleted {
  /** At Shopify. */
  id: number;
}

/** A request to hand out or delete data of a person or a shop. */
export interface PrivacyRequest {
  /** At Shopify. */
  shop_id: number;
  /** `name.myshopify.com`. */
  shop_domain: string;
  /** The person; `null` for a shop. */
  customer?: Customer | null;
  /** Orders to hand out. */
  orders_requested: number[];
  /** Orders to delete. */
  orders_to_redact: number[];
}
