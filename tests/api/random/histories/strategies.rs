//! Generates the plans of random histories.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};

use super::calls::{Form, Spelling, Wrong};
use super::plan::{
    AskPlan, Asking, Beforehand, CallPlan, ClientStep, CrowdPlan, DeedKind, DeedPlan, FormPlan, ListPlan, Other, Plan,
    RepeatPlan, RowPlan, SetOnPlan, Step, Twist, Who, WorldPlan,
};

/// Plans of histories whose events run one after the other.
pub fn plans() -> impl Strategy<Value = Plan> {
    (worlds(), vec(steps(), 1..16)).prop_map(|(world, steps)| Plan { world, steps })
}

pub fn crowds() -> impl Strategy<Value = CrowdPlan> {
    let call = prop_oneof![
        4 => call_plans().prop_map(ClientStep::Call),
        1 => any::<u8>().prop_map(ClientStep::Twin),
        1 => any::<u8>().prop_map(ClientStep::Validation),
    ];
    let of_kind = |kind| deed_plans().prop_map(move |plan| DeedPlan { kind, ..plan });
    let deed = prop_oneof![
        4 => deed_plans(),
        3 => of_kind(DeedKind::ReParent),
        2 => of_kind(DeedKind::MoveEntity),
        1 => of_kind(DeedKind::DeleteEntity),
    ];
    let deed = deed.prop_map(ClientStep::Deed);
    let rows = vec(row_plans(), 10..16);
    (rows, vec(any::<(u8, u8)>(), 0..3), vec(vec(call, 3), 8), vec(vec(deed, 4), 3)).prop_map(
        |(rows, allocations, mut clients, others)| {
            clients.extend(others);
            // A root with two children. The first child has two children of its own.
            let parents = vec![None, Some(0), Some(1), Some(1), Some(0)];
            CrowdPlan {
                world: WorldPlan { parents, entities: vec![1, 1, 2, 2], rows, allocations, deeds: vec![] },
                clients,
            }
        },
    )
}

fn worlds() -> impl Strategy<Value = WorldPlan> {
    let parents = vec(weighted(0.9, any::<u8>()), 3..9);
    let (entities, rows) = (vec(any::<u8>(), 0..6), vec(row_plans(), 4..28));
    let allocations = vec(any::<(u8, u8)>(), 0..4);
    (parents, entities, rows, allocations, vec(deed_plans(), 0..8)).prop_map(
        |(parents, entities, rows, allocations, deeds)| WorldPlan { parents, entities, rows, allocations, deeds },
    )
}

fn row_plans() -> impl Strategy<Value = RowPlan> {
    use SetOnPlan::{AnyCustomer, AnyEntity, OwnEntity, OwnSubCustomer};
    let set_on =
        prop_oneof![3 => Just(OwnSubCustomer), 3 => Just(OwnEntity), 1 => Just(AnyCustomer), 1 => Just(AnyEntity)];
    (any::<u8>(), any::<u8>(), (set_on, any::<u8>()), 0..12u8).prop_map(|(word, customer, set_on, name)| RowPlan {
        word,
        customer,
        set_on,
        name,
    })
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (call_plans(), prop::bool::weighted(0.25), prop::bool::weighted(0.3), beforehand()).prop_map(
            |(plan, later, cancel, beforehand)| Step::Call(CallPlan { later, cancel, ..plan }, beforehand)
        ),
        5 => deed_plans().prop_map(Step::Deed),
        4 => (repeat_plans(), beforehand()).prop_map(|(plan, beforehand)| Step::Repeat(plan, beforehand)),
        3 => (any::<u8>(), who(), askings()).prop_map(|(call, by, how)| Step::Ask(AskPlan { call, by, how })),
        2 => list_plans().prop_map(Step::List),
    ]
}

fn askings() -> impl Strategy<Value = Asking> {
    prop_oneof![
        2 => Just(Asking::Status),
        1 => Just(Asking::Details),
        1 => Just(Asking::Full),
        1 => Just(Asking::Cancelling),
    ]
}

fn list_plans() -> impl Strategy<Value = ListPlan> {
    let like = (weighted(0.3, any::<bool>()), any::<u8>(), prop::bool::weighted(0.3), prop::bool::weighted(0.3));
    (any::<u8>(), who(), 1..4u8, like, weighted(0.4, any::<u8>())).prop_map(
        |(call, by, size, (failed, like, with_resource, with_customer), target)| ListPlan {
            call,
            by,
            size,
            failed,
            like,
            with_resource,
            with_customer,
            target,
        },
    )
}

fn beforehand() -> impl Strategy<Value = Beforehand> {
    prop_oneof![2 => Just(Beforehand::Nothing), 1 => Just(Beforehand::Validation)]
}

/// Calls whose callers wait.
fn call_plans() -> impl Strategy<Value = CallPlan> {
    let key = weighted(0.4, 0..3u8);
    (any::<u8>(), any::<u8>(), others(), vec(others(), 0..5), who(), who(), form_plans(), key).prop_map(
        |(word, row, first, others, requester, customer, form, key)| CallPlan {
            word,
            row,
            first,
            others,
            requester,
            customer,
            form,
            key,
            later: false,
            cancel: false,
        },
    )
}

fn others() -> impl Strategy<Value = (Other, u8)> {
    let other = prop_oneof![
        15 => Just(Other::Eligible),
        2 => Just(Other::SameResource),
        1 => Just(Other::AnotherResource),
        1 => Just(Other::Unknown),
    ];
    (other, any::<u8>())
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![12 => Just(Who::Right), 2 => any::<u8>().prop_map(Who::Any), 1 => Just(Who::Unknown)]
}

fn form_plans() -> impl Strategy<Value = FormPlan> {
    let spelling = prop_oneof![
        Just(Spelling::Plain),
        Just(Spelling::BackwardsAndTwice),
        Just(Spelling::UpperCase),
        Just(Spelling::WithUnknownMembers),
        Just(Spelling::WithContentType),
        Just(Spelling::WithQuery),
    ];
    prop_oneof![
        8 => (any::<bool>(), spelling).prop_map(|(delete, spelling)| {
            FormPlan::List(if delete { Form::Delete(spelling) } else { Form::BatchDelete(spelling) })
        }),
        4 => empty_bodies().prop_map(FormPlan::Url),
        2 => wrongs().prop_map(FormPlan::Wrong),
    ]
}

fn empty_bodies() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just(""), 1 => Just("{}"), 1 => Just("{\"id\": null}"), 1 => Just("{\"id\": []}")]
}

fn wrongs() -> impl Strategy<Value = Wrong> {
    prop_oneof![
        3 => Just(Wrong::UrlAndList),
        3 => empty_bodies().prop_map(Wrong::NoIds),
        1 => Just(Wrong::CutJson),
        1 => Just(Wrong::NotAList),
        1 => Just(Wrong::IdInBody),
        1 => Just(Wrong::IdInUrl),
        1 => Just(Wrong::Customer),
        1 => Just(Wrong::TooMany),
        1 => Just(Wrong::TooLarge),
        1 => Just(Wrong::Text),
        1 => Just(Wrong::NoRequester),
        1 => Just(Wrong::TwoRequesters),
        1 => Just(Wrong::Route),
        1 => Just(Wrong::Method),
        1 => Just(Wrong::Key),
        1 => prop_oneof![Just("validateOnly=maybe"), Just("validateOnly"), Just("validateOnly=true&validateOnly=true")]
            .prop_map(Wrong::Query),
    ]
}

fn repeat_plans() -> impl Strategy<Value = RepeatPlan> {
    let twist = prop_oneof![
        6 => Just(Twist::None),
        1 => Just(Twist::NoKey),
        1 => (0..3u8).prop_map(Twist::OtherKey),
        1 => any::<u8>().prop_map(Twist::OtherRequester),
        1 => any::<u8>().prop_map(Twist::OtherCustomer),
        1 => Just(Twist::OneIdLess),
    ];
    (any::<u8>(), form_plans(), twist, prop::bool::weighted(0.25)).prop_map(|(call, form, twist, later)| RepeatPlan {
        call,
        form,
        twist,
        later,
    })
}

fn deed_plans() -> impl Strategy<Value = DeedPlan> {
    let kind = prop_oneof![
        3 => Just(DeedKind::Allocate),
        2 => Just(DeedKind::Detach),
        1 => Just(DeedKind::Attach),
        3 => Just(DeedKind::ReParent),
        1 => Just(DeedKind::DeleteCustomer),
        2 => Just(DeedKind::Delete),
        2 => Just(DeedKind::Move),
        2 => Just(DeedKind::DeleteEntity),
        2 => Just(DeedKind::MoveEntity),
        2 => Just(DeedKind::SetOn),
        4 => Just(DeedKind::Insert),
        1 => Just(DeedKind::InsertCustomer),
        1 => Just(DeedKind::InsertEntity),
    ];
    (kind, any::<u8>(), any::<u8>(), row_plans()).prop_map(|(kind, one, other, row)| DeedPlan { kind, one, other, row })
}
