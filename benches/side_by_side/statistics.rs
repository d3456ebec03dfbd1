//! Medians, quantiles and spreads.

/// The middle value; of an even number the mean of the two in the middle. Zero for none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The value below which the share `at` (0 to 1) of all lie, by nearest rank. Reorders `values`; zero for
/// none.
pub(crate) fn quantile(values: &mut [u32], at: f64) -> u32 {
    if values.is_empty() {
        return 0;
    }
    #[expect(
        clippy::cast_sign_loss,
        reason = "`at` is a share of one: the product is no less than zero"
    )]
    let rank = ((values.len() - 1) as f64 * at).round() as usize;
    *values.select_nth_unstable(rank).1
}

/// The least and the greatest value. Zeros for none.
pub(crate) fn spread(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().min_by(f64::total_cmp).unwrap_or(0.0);
    let greatest = values.iter().copied().max_by(f64::total_cmp).unwrap_or(0.0);
    (least, greatest)
}
