//! What the rules remember of pages, for all threads.

use super::last_types::LastTypes;
use super::marked_pages::MarkedPages;
use super::preload_pairs::PreloadPairs;

/// The tables of the pages of one process. None has a lock.
#[derive(Debug, Default)]
pub struct PageMemory {
    /// Service workers' pages.
    pub pairs: PreloadPairs,
    /// What each path's last 200 was.
    pub last_types: LastTypes,
    /// What was fetched ahead, and its like.
    pub marked: MarkedPages,
}
