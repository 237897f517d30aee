//! One GPU type for the whole cluster (`tools.md` section 3.5), for tools that size a deployment.
//! Pure: items in, one choice out.

use std::collections::BTreeMap;

use serde::Serialize;

use super::inventory::Item;

/// What a tool that plans for one kind of node has to know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub gpus_per_node: u64,
    pub model: String,
    /// MiB of one GPU; 0 when nothing is known.
    pub vram: u64,
}

/// The chosen kind of node and whether there were others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub summary: Summary,
    pub groups: usize,
}

/// The group with the most GPUs in a node, then with the most memory; `None` when no node tells model or memory.
pub fn choose(items: &[Item]) -> Option<Choice> {
    let mut groups: BTreeMap<(Option<&str>, Option<u64>), u64> = BTreeMap::new();
    for item in items.iter().filter(|item| item.gpu_product.is_some() || item.gpu_memory_mib.is_some()) {
        let most = groups.entry((item.gpu_product.as_deref(), item.gpu_memory_mib)).or_default();
        *most = (*most).max(item.gpu_count.unwrap_or(0));
    }
    let ((model, memory), gpus) =
        groups.iter().max_by_key(|((model, memory), gpus)| (**gpus, memory.unwrap_or(0), *model))?;
    let summary = Summary {
        gpus_per_node: *gpus,
        model: model.unwrap_or_default().to_owned(),
        vram: memory.unwrap_or(0),
    };
    Some(Choice { summary, groups: groups.len() })
}

/// The choice, or the largest number of GPUs in a node when nothing else is known.
pub fn summarise(items: &[Item]) -> Summary {
    choose(items).map_or_else(
        || Summary {
            gpus_per_node: items.iter().filter_map(|item| item.gpu_count).max().unwrap_or(0),
            ..Summary::default()
        },
        |choice| choice.summary,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(count: u64, model: Option<&str>, memory: Option<u64>) -> Item {
        let gpu_product = model.map(str::to_owned);
        Item { gpu_count: Some(count), gpu_product, gpu_memory_mib: memory, ..Item::default() }
    }

    #[test]
    fn most_gpus_win_before_most_memory() {
        let items = [
            item(4, Some("H200"), Some(143_771)),
            item(8, Some("A100"), Some(40_960)),
            item(8, Some("H100"), Some(81_559)),
            item(16, None, None),
        ];
        let choice = choose(&items).unwrap();
        assert_eq!((choice.groups, choice.summary.model.as_str()), (3, "H100"));
        assert_eq!((choice.summary.gpus_per_node, choice.summary.vram), (8, 81_559));
    }

    #[test]
    fn nodes_that_tell_nothing_still_give_their_number_of_gpus() {
        assert_eq!(choose(&[item(2, None, None)]), None);
        let summary = summarise(&[item(2, None, None), item(4, None, None)]);
        assert_eq!(summary, Summary { gpus_per_node: 4, ..Summary::default() });
        assert_eq!(summarise(&[]), Summary::default());
    }
}
