//! How the document speaks of each resource, and with which ids.

use crate::demo::world;
use crate::resource::Resource;

/// The words of a resource. The ids are those of the demo's world, where a call with them works.
pub struct Words {
    /// In an `operationId`.
    pub title: &'static str,
    /// With its article.
    pub one: &'static str,
    pub singular: &'static str,
    pub plural: &'static str,
    /// What the tree must look like for a row to be deleted.
    pub rule: &'static str,
    /// Why a live row is refused.
    pub ineligible: &'static str,
    pub customer: &'static str,
    pub ids: &'static [&'static str],
}

impl Words {
    pub const fn of(resource: Resource) -> Words {
        match resource {
            Resource::Contact => Words {
                title: "Contact",
                one: "a contact",
                singular: "contact",
                plural: "contacts",
                rule: "`customerId` is a sub-customer of the requester, one level below it, and the contact is that customer's",
                ineligible: "A contact is another customer's",
                customer: world::HAFENLOGISTIK_NORD,
                ids: &world::CONTACTS,
            },
            Resource::Address => Words {
                title: "Address",
                one: "an address",
                singular: "address",
                plural: "addresses",
                rule: "`customerId` is a sub-customer of the requester, one level below it, and the address is that customer's",
                ineligible: "An address is another customer's",
                customer: world::HAFENLOGISTIK_NORD,
                ids: &world::ADDRESSES,
            },
            Resource::ExternalParams => Words {
                title: "ExternalParams",
                one: "external params",
                singular: "external params",
                plural: "external params",
                rule: "`customerId` is the requester itself, and the external params are kept on it and set on its own live sub-customer, \
                       subscriber or sell plan",
                ineligible: "External params are another customer's, or not set on an own live sub-customer, subscriber or sell plan",
                customer: world::NORDLICHT_TELEKOM,
                ids: &[world::EXTERNAL_PARAMS],
            },
            Resource::Zone => Words {
                title: "Zone",
                one: "a zone",
                singular: "zone",
                plural: "zones",
                rule: "`customerId` is the requester itself, and the zone is its own",
                ineligible: "A zone is another customer's",
                customer: world::NORDLICHT_TELEKOM,
                ids: &[world::ZONE],
            },
            Resource::Product => Words {
                title: "Product",
                one: "a product",
                singular: "product",
                plural: "products",
                rule: "`customerId` is the requester itself, which created the product, and no live customer has it",
                ineligible: "The product was created by another customer",
                customer: world::NORDLICHT_TELEKOM,
                ids: &[world::PRODUCT],
            },
        }
    }
}
