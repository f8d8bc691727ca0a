//! The position of a requester relative to the customer of the URL.

use uuid::Uuid;

use crate::support::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    Itself,
    Parent,
    Grandparent,
    Child,
    Sibling,
    /// A child of the grandparent, beside the parent.
    Aunt,
    /// A customer in a tree that has nothing in common with the customer's.
    Stranger,
    /// The id of no customer.
    Unknown,
    /// The deleted parent.
    DeletedParent,
    /// The grandparent, if the parent in between is deleted.
    GrandparentOverDeleted,
}

impl Position {
    pub const ALL: [Position; 10] = [
        Position::Itself,
        Position::Parent,
        Position::Grandparent,
        Position::Child,
        Position::Sibling,
        Position::Aunt,
        Position::Stranger,
        Position::Unknown,
        Position::DeletedParent,
        Position::GrandparentOverDeleted,
    ];

    /// Whether the customer's parent is deleted before the requester calls.
    pub fn parent_is_deleted(self) -> bool {
        matches!(self, Position::DeletedParent | Position::GrandparentOverDeleted)
    }
}

/// A customer, and one requester for every position.
#[derive(Clone, Copy)]
pub struct Kin {
    pub customer: Uuid,
    pub parent: Uuid,
    pub grandparent: Uuid,
    pub child: Uuid,
    pub sibling: Uuid,
    pub aunt: Uuid,
    pub stranger: Uuid,
}

impl Kin {
    pub async fn of_a_new_customer(world: &World) -> Kin {
        let grandparent = world.customer(None).await;
        let parent = world.customer(Some(grandparent)).await;
        let customer = world.customer(Some(parent)).await;
        let root = world.customer(None).await;
        Kin {
            customer,
            parent,
            grandparent,
            child: world.customer(Some(customer)).await,
            sibling: world.customer(Some(parent)).await,
            aunt: world.customer(Some(grandparent)).await,
            stranger: world.customer(Some(root)).await,
        }
    }

    pub fn at(&self, position: Position) -> Uuid {
        match position {
            Position::Itself => self.customer,
            Position::Parent | Position::DeletedParent => self.parent,
            Position::Grandparent | Position::GrandparentOverDeleted => self.grandparent,
            Position::Child => self.child,
            Position::Sibling => self.sibling,
            Position::Aunt => self.aunt,
            Position::Stranger => self.stranger,
            Position::Unknown => Uuid::now_v7(),
        }
    }

    /// All but the customer: their rows are never its own.
    pub fn others(&self) -> [Uuid; 6] {
        [self.parent, self.grandparent, self.child, self.sibling, self.aunt, self.stranger]
    }
}
