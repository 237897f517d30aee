//! The VirtualService of a component (`workload.md` sections 9, 17).
//! Whether the mesh is there is not known here.

use dynamo_api::foreign::VirtualService;

use crate::{config::OperatorConfig, validate::ValidatedComponent};

pub(super) fn build_virtual_service(
    _: &ValidatedComponent<'_>,
    _: &OperatorConfig,
) -> Option<VirtualService> {
    None
}
