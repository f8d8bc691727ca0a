//! The resources of the contract, repeated as literals. A new resource needs a row here: a test about a property runs for every
//! resource that has it.

use customer_deletion::resource::Resource;

/// A code and its message.
pub type Refusal = (&'static str, &'static str);

pub struct Contract {
    /// The word in URLs and operations.
    pub word: &'static str,
    pub table: &'static str,
    /// The word in the names of statements, as in `delete_contacts`.
    pub plural: &'static str,
    /// The depth of the customer in the URL.
    pub depth: u32,
    /// Whether a list of ids can be deleted. Otherwise the id is in the URL.
    pub takes_list: bool,
    pub can_be_restored: bool,
    /// Whether waiting calls can share a statement.
    pub shares: bool,
    /// A refusal of an id that no live row has.
    pub unknown: Refusal,
    /// A refusal of a customer at another depth, and of a row that is not the customer's.
    pub not_yours: Refusal,
    /// Makes rows with the ids $1 of the customer $2, which it may delete.
    pub insert: &'static str,
    /// The table whose live rows refer to the resource and forbid its deletion.
    pub reference: Option<Reference>,
}

pub struct Reference {
    pub table: &'static str,
    pub in_use: Refusal,
    /// Makes a live row with the id $1, which refers to the row $2 and belongs to the customer $3.
    pub insert: &'static str,
}

pub fn contract(resource: Resource) -> Contract {
    match resource {
        Resource::Contact => Contract {
            word: "contact",
            table: "contact",
            plural: "contacts",
            depth: 1,
            takes_list: true,
            can_be_restored: true,
            shares: true,
            unknown: ("CUSTOMER_1017", "Unknown Contact ID"),
            not_yours: ("AUTH_1010", "Contact for your customer was not found"),
            insert: "insert into contact (id, customer_id, email, mobile)
                select id, $2, 'a@example.com', '+491510000' from unnest($1::uuid[]) as id",
            reference: None,
        },
        Resource::Address => Contract {
            word: "address",
            table: "address",
            plural: "addresses",
            depth: 1,
            takes_list: true,
            can_be_restored: true,
            shares: true,
            unknown: ("CUSTOMER_1018", "Unknown Address ID"),
            not_yours: ("AUTH_1011", "Address for your customer was not found"),
            insert: "insert into address (id, customer_id, line_1, city, country_code)
                select id, $2, '1', 'Bern', 'CHE' from unnest($1::uuid[]) as id",
            reference: None,
        },
        Resource::ExternalParams => Contract {
            word: "external-params",
            table: "external_params",
            plural: "external_params",
            depth: 0,
            takes_list: true,
            can_be_restored: true,
            shares: true,
            unknown: ("CUSTOMER_1026", "Failed to delete external params item"),
            not_yours: ("CUSTOMER_1026", "Failed to delete external params item"),
            insert: "with entity as (
                  insert into subscriber (id, customer_id, name) values (gen_random_uuid(), $2, 'A subscriber') returning id
                )
                insert into external_params (id, customer_id, subscriber_id, name, value)
                select row.id, $2, entity.id, 'a', 'b' from unnest($1::uuid[]) as row (id) cross join entity",
            reference: None,
        },
        Resource::Zone => Contract {
            word: "zone",
            table: "zone",
            plural: "zones",
            depth: 0,
            takes_list: true,
            can_be_restored: true,
            shares: true,
            unknown: ("CUSTOMER_1030", "Failed to delete customer zone\\s"),
            not_yours: ("CUSTOMER_1030", "Failed to delete customer zone\\s"),
            insert: "insert into zone (id, customer_id, name, country_code)
                select id, $2, id::text, 'DEU' from unnest($1::uuid[]) as id",
            reference: None,
        },
        Resource::Product => Contract {
            word: "product",
            table: "product",
            plural: "products",
            depth: 0,
            takes_list: false,
            can_be_restored: false,
            shares: false,
            unknown: ("CUSTOMER_1047", "Unknown product id"),
            not_yours: ("AUTH_1015", "Product was not found for your account"),
            insert: "insert into product (id, customer_id, name) select id, $2, id::text from unnest($1::uuid[]) as id",
            reference: Some(Reference {
                table: "product_allocation",
                in_use: (
                    "CUSTOMER_1046",
                    "Product deletion failure. It is not allowed to delete a product allocated to sub customers",
                ),
                insert: "insert into product_allocation (id, product_id, customer_id) values ($1, $2, $3)",
            }),
        },
    }
}

/// Every resource. The output of a failed test ends with the resource for which it failed.
pub fn every_resource() -> impl Iterator<Item = Resource> {
    Resource::ALL.into_iter().inspect(|resource| println!("{resource:?}"))
}

/// Every resource to which rows of another table refer, with that table.
pub fn every_reference() -> impl Iterator<Item = (Resource, Reference)> {
    every_resource().filter_map(|resource| Some((resource, contract(resource).reference?)))
}

/// Every resource of which a list can be deleted.
pub fn every_list() -> impl Iterator<Item = Resource> {
    every_resource().filter(|resource| contract(*resource).takes_list)
}

pub fn word(resource: Resource) -> &'static str {
    contract(resource).word
}

pub fn table(resource: Resource) -> &'static str {
    contract(resource).table
}

/// The name of a statement about the resource, like `delete_contacts`.
pub fn statement(verb: &str, resource: Resource) -> String {
    format!("{verb}_{}", contract(resource).plural)
}

/// The text of that statement.
pub fn sql(verb: &str, resource: Resource) -> String {
    let path = format!("{}/src/repository/sql/{}.sql", env!("CARGO_MANIFEST_DIR"), statement(verb, resource));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// As many ids as are wanted if the resource takes a list, else one.
pub fn most(wanted: usize, resource: Resource) -> usize {
    if contract(resource).takes_list { wanted } else { 1 }
}
