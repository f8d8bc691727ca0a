//! Every position, resource and form of a call has the documented answer, and nothing else changes.

use customer_deletion::resource::Resource;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::position::{Kin, Position};
use crate::support::resources::{contract, every_resource, table};
use crate::support::{Answer, TestService};

/// The outcome of a call according to the contract.
#[derive(Clone, Copy)]
enum Expected {
    Deleted,
    Refused(u16, &'static str, &'static str),
}

use Expected::{Deleted, Refused};

const NO_CUSTOMER: Expected = Refused(404, "CUSTOMER_1002", "Customer does not exist");

/// The answer to a requester in the customer's tree at another depth. It is that for a row of another customer.
fn not_yours(resource: Resource) -> Expected {
    let (code, message) = contract(resource).not_yours;
    Refused(404, code, message)
}

/// The answer to a call whose rows are all the customer's.
fn of_own_rows(resource: Resource, position: Position) -> Expected {
    let of_sub_customer = contract(resource).depth == 1;
    match position {
        Position::Itself if of_sub_customer => not_yours(resource),
        Position::Itself => Deleted,
        Position::Parent if of_sub_customer => Deleted,
        Position::Parent | Position::Grandparent => not_yours(resource),
        Position::Child
        | Position::Sibling
        | Position::Aunt
        | Position::Stranger
        | Position::Unknown
        | Position::DeletedParent
        | Position::GrandparentOverDeleted => NO_CUSTOMER,
    }
}

/// The answer if one row belongs to another customer. The customer is checked before the ids.
fn of_a_mixed_list(resource: Resource, position: Position) -> Expected {
    match of_own_rows(resource, position) {
        Deleted => not_yours(resource),
        refused => refused,
    }
}

/// A customer with rows that are its own, and one requester for every position.
struct Cell<'a> {
    service: &'a TestService,
    kin: Kin,
    resource: Resource,
    position: Position,
    own: Vec<Uuid>,
    /// The fingerprint of the tables, which no refused call may change.
    fingerprint: String,
}

/// The way in which a call names its ids.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Url,
    List,
    BatchDelete,
}

impl Cell<'_> {
    async fn new(service: &TestService, resource: Resource, position: Position) -> Cell<'_> {
        let kin = Kin::of_a_new_customer(&service.world).await;
        let own = service.world.rows(resource, kin.customer, 4).await;
        let fingerprint = service.world.fingerprint().await;
        Cell { service, kin, resource, position, own, fingerprint }
    }

    async fn send(&self, shape: Shape, ids: &[Uuid]) -> Answer {
        let (requester, customer) = (self.kin.at(self.position), self.kin.customer);
        match shape {
            Shape::Url => self.service.delete_one(requester, customer, self.resource, ids[0]).await,
            Shape::List => self.service.delete_list(requester, customer, self.resource, ids).await,
            Shape::BatchDelete => self.service.batch_delete(requester, customer, self.resource, ids).await,
        }
    }

    /// Sends a call, and asserts its answer, and that it deleted exactly these ids or nothing.
    async fn assert_answered(&self, shape: Shape, ids: &[Uuid], expected: Expected) {
        let answer = self.send(shape, ids).await;
        let cell = format!("{:?} of {:?} by {:?}: {}", shape, self.resource, self.position, answer.text);
        match expected {
            Deleted => {
                assert_eq!(answer.status, 200, "{cell}");
                let id = answer.assert_deleted();
                assert_eq!(self.rows_deleted_by(id).await, sorted(ids), "{cell}");
                self.undelete(id).await;
            }
            Refused(status, code, message) => {
                assert_eq!((answer.status, answer.json()["errorCode"].as_str()), (status, Some(code)), "{cell}");
                answer.assert_failed(status, code, message);
            }
        }
        assert_eq!(self.service.world.fingerprint().await, self.fingerprint, "something else changed: {cell}");
    }

    async fn rows_deleted_by(&self, operation: Uuid) -> Vec<Uuid> {
        let of = |resource| format!("select id from {} where deleted_by = $1", table(resource));
        let sql = Resource::ALL.map(of).join(" union all ") + " order by id";
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(operation).fetch_all(&self.service.database.pool).await.unwrap()
    }

    /// Restores the rows of the operation without a record, so that every other change shows. Products have no restore, so
    /// their guard is disabled.
    async fn undelete(&self, operation: Uuid) {
        let table = table(self.resource);
        let sql = format!(
            "alter table {table} disable trigger user;
             update {table} set deleted_at = null, deleted_by = null where deleted_by = '{operation}';
             alter table {table} enable trigger user;"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.service.database.pool).await.unwrap();
    }

    /// Must be called after all rows were inserted.
    async fn kill_the_parent_if_it_must_be_dead(&mut self) {
        if self.position.parent_is_deleted() {
            self.service.world.kill_customer(self.kin.parent).await;
        }
        self.fingerprint = self.service.world.fingerprint().await;
    }
}

/// The number of foreign rows that are named from each position.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// From the documented position each row, at one index of the list. From the others one row, the requester's own if it has
    /// one, because there the customer is refused before its rows are checked.
    Few,
    /// From each position each row, at each index of the list.
    All,
}

impl Extent {
    /// Chooses from foreign rows, each with its owner.
    fn of<T: Copy>(self, foreign: &[(Uuid, T)], cell: &Cell) -> Vec<T> {
        if self == Extent::All || matches!(of_own_rows(cell.resource, cell.position), Deleted) {
            return foreign.iter().map(|(_, row)| *row).collect();
        }
        let requester = cell.kin.at(cell.position);
        let own = foreign.iter().find(|(owner, _)| *owner == requester);
        vec![own.unwrap_or(&foreign[0]).1]
    }

    /// Indexes in the list. Another `index` selects another one.
    fn indexes(self, index: usize) -> Vec<(usize, Shape)> {
        let indexes = [(0, Shape::List), (2, Shape::BatchDelete), (4, Shape::List)];
        match self {
            Extent::Few => vec![indexes[index % indexes.len()]],
            Extent::All => indexes.to_vec(),
        }
    }
}

fn sorted(ids: &[Uuid]) -> Vec<Uuid> {
    let mut ids = ids.to_vec();
    ids.sort();
    ids
}

#[tokio::test]
async fn only_the_documented_position_deletes_the_rows_of_a_customer() {
    for resource in every_resource() {
        let service = TestService::shared().await;
        for position in Position::ALL {
            let mut cell = Cell::new(&service, resource, position).await;
            cell.kill_the_parent_if_it_must_be_dead().await;
            let expected = of_own_rows(resource, position);

            cell.assert_answered(Shape::Url, &cell.own[..1], expected).await;
            if !contract(resource).takes_list {
                continue;
            }
            for shape in [Shape::List, Shape::BatchDelete] {
                cell.assert_answered(shape, &cell.own, expected).await;
            }
        }
    }
}

async fn foreign_ids_delete_nothing(extent: Extent) {
    for resource in every_resource() {
        let service = TestService::shared().await;
        for position in Position::ALL {
            let mut cell = Cell::new(&service, resource, position).await;
            let expected = of_a_mixed_list(resource, position);
            let mut foreign_rows = Vec::new();
            for owner in extent.of(&cell.kin.others().map(|owner| (owner, owner)), &cell) {
                foreign_rows.push(cell.service.world.row(resource, owner).await);
            }
            cell.kill_the_parent_if_it_must_be_dead().await;

            for (number, foreign) in foreign_rows.into_iter().enumerate() {
                cell.assert_answered(Shape::Url, &[foreign], expected).await;
                if !contract(resource).takes_list {
                    continue;
                }
                for (index, shape) in extent.indexes(position as usize + number) {
                    let mut ids = cell.own.clone();
                    ids.insert(index, foreign);
                    cell.assert_answered(shape, &ids, expected).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_foreign_id_at_any_index_deletes_nothing() {
    foreign_ids_delete_nothing(Extent::Few).await;
}

#[tokio::test]
#[ignore = "each row from each position: takes half a minute; cargo test --test api -- --ignored every_foreign"]
async fn every_foreign_id_at_every_index_deletes_nothing() {
    foreign_ids_delete_nothing(Extent::All).await;
}

/// Both the owner of the row and its entity count: a customer's own row on a foreign entity is treated as foreign.
async fn external_params_on_foreign_entities_delete_nothing(extent: Extent) {
    let service = TestService::shared().await;
    for position in Position::ALL {
        let mut cell = Cell::new(&service, Resource::ExternalParams, position).await;
        let (world, kin) = (&cell.service.world, cell.kin);
        let own_subscriber = world.subscriber(kin.customer).await;
        let mut foreign_rows =
            vec![(kin.customer, world.external_params(kin.customer, "sub_customer_id", kin.customer).await)];
        for owner in kin.others() {
            // A row of another customer, on an entity of the customer itself.
            foreign_rows.push((owner, world.external_params(owner, "subscriber_id", own_subscriber).await));
            let subscriber = world.subscriber(owner).await;
            foreign_rows.push((kin.customer, world.external_params(kin.customer, "subscriber_id", subscriber).await));
            let sell_plan = world.sell_plan(owner).await;
            foreign_rows.push((kin.customer, world.external_params(kin.customer, "sell_plan_id", sell_plan).await));
            if owner != kin.child {
                foreign_rows.push((kin.customer, world.external_params(kin.customer, "sub_customer_id", owner).await));
            }
        }
        cell.kill_the_parent_if_it_must_be_dead().await;

        let expected = of_a_mixed_list(Resource::ExternalParams, position);
        for foreign in extent.of(&foreign_rows, &cell) {
            cell.assert_answered(Shape::Url, &[foreign], expected).await;
            let ids = [&cell.own[..2], &[foreign], &cell.own[2..]].concat();
            cell.assert_answered(Shape::List, &ids, expected).await;
        }
    }
}

#[tokio::test]
async fn external_params_on_a_foreign_entity_delete_nothing_from_any_position() {
    external_params_on_foreign_entities_delete_nothing(Extent::Few).await;
}

#[tokio::test]
#[ignore = "each row from each position: takes half a minute; cargo test --test api -- --ignored every_foreign"]
async fn external_params_on_every_foreign_entity_delete_nothing_from_any_position() {
    external_params_on_foreign_entities_delete_nothing(Extent::All).await;
}

#[tokio::test]
async fn a_list_of_products_deletes_nothing_from_any_position() {
    let service = TestService::shared().await;
    for position in Position::ALL {
        let mut cell = Cell::new(&service, Resource::Product, position).await;
        cell.kill_the_parent_if_it_must_be_dead().await;
        for shape in [Shape::List, Shape::BatchDelete] {
            let answer = cell.send(shape, &cell.own).await;
            answer.assert_malformed(400, "BAD_REQUEST", "a product is deleted alone");
        }
        assert_eq!(cell.service.world.fingerprint().await, cell.fingerprint, "{position:?}");
    }
}
