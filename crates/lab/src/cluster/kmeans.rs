//! k-means: Lloyd's iterations from k-means++.
//!
//! Own code, since linfa-clustering brings 60 crates and a second ndarray (0.16), and its update is another: the old
//! centre counts as one more point of its cluster.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use maf_srl::error::{Error, Result, require, shape};

/// Lloyd's iterations end here if they have not before.
pub const ROUNDS: usize = 300;

/// Of so many starts [`kmeans`] takes the best.
pub const STARTS: usize = 10;

/// Squared distances of points within this stay finite.
const LARGEST: f64 = 1e150;

/// The outcome of k-means.
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters {
    /// The cluster of each row: that of the nearest centre, the first of several.
    pub labels: Vec<usize>,
    /// The centres, one per row.
    pub centres: Array2<f64>,
    /// The sum of squared distances to the nearest centre.
    pub inertia: f64,
}

/// The clusters of smallest inertia, the first of several, that [`lloyd`] finds on the rows of `points` from [`STARTS`] draws
/// of greedy k-means++ centres, as in scikit-learn with `n_init=10`: a single start often ends in a local minimum.
///
/// Of each draw the first centre is a point drawn at random; for each other, 2 + floor(ln `clusters`) points are drawn with
/// probability proportional to the squared distance to the nearest centre so far, and the one that leaves the
/// smallest sum of these is taken. With fewer different points than clusters some clusters end empty. One thread,
/// fixed order of sums: the same state of `random` gives the same clusters.
///
/// # Errors
/// As [`lloyd`].
pub fn kmeans(points: ArrayView2<'_, f64>, clusters: usize, random: &mut ChaCha8Rng) -> Result<Clusters> {
    let mut best = start(points, clusters, random)?;
    for _ in 1..STARTS {
        let found = start(points, clusters, random)?;
        if found.inertia < best.inertia {
            best = found;
        }
    }
    Ok(best)
}

/// One of these.
fn start(points: ArrayView2<'_, f64>, clusters: usize, random: &mut ChaCha8Rng) -> Result<Clusters> {
    check(points, clusters)?;
    let trials = 2 + (clusters as f64).ln() as usize;
    let distances = |to: usize| -> Array1<f64> {
        points.rows().into_iter().map(|row| squared(row, points.row(to))).collect()
    };
    let mut chosen = vec![random.random_range(0..points.nrows())];
    let mut nearest = distances(chosen[0]);
    while chosen.len() < clusters {
        let total = nearest.sum();
        let tried = (0..trials).map(|_| {
            let mut left = random.random::<f64>() * total;
            let at = nearest.iter().position(|d| {
                left -= d;
                left < 0.0
            });
            // No position is left where rounding or a total of 0 says so.
            let at = at.unwrap_or(points.nrows() - 1);
            let mut with = distances(at);
            with.zip_mut_with(&nearest, |d, &old| *d = d.min(old));
            (at, with)
        });
        let best = tried.min_by(|(_, x), (_, y)| x.sum().total_cmp(&y.sum()));
        let Some((at, with)) = best else { break };
        chosen.push(at);
        nearest = with;
    }
    lloyd(points, points.select(Axis(0), &chosen))
}

/// Lloyd's iterations on the rows of `points` from given `centres`: points to their nearest centre, centres to the mean of
/// their points, until no label changes or for [`ROUNDS`] rounds.
///
/// As scikit-learn's `KMeans(init=centres, n_init=1, algorithm="lloyd", tol=0)`: a centre without points goes to the
/// point that is farthest from its own centre, which loses it; here only to one that is away from its centre and not
/// alone there, and where there is none the centre stays.
///
/// # Errors
/// [`Error::Domain`] where there are no clusters or fewer points than clusters, or a point or centre is NaN or beyond
/// 1e150; [`Error::Shape`] where centres and points differ in length.
pub fn lloyd(points: ArrayView2<'_, f64>, mut centres: Array2<f64>) -> Result<Clusters> {
    check(points, centres.nrows())?;
    finite("centres of k-means", centres.view())?;
    if centres.ncols() != points.ncols() {
        return Err(shape(
            "centres of k-means",
            "number of columns",
            centres.ncols(),
            format!("{}, that of the points", points.ncols()),
        ));
    }
    let (mut labels, mut distances) = nearest(points, &centres);
    for _ in 0..ROUNDS {
        centres = means(points, &labels, &distances, centres);
        let (new, far) = nearest(points, &centres);
        distances = far;
        if new == labels {
            break;
        }
        labels = new;
    }
    Ok(Clusters { labels, centres, inertia: distances.iter().sum() })
}

fn check(points: ArrayView2<'_, f64>, clusters: usize) -> Result<()> {
    let allowed = format!("[1, {}], the number of points", points.nrows());
    let fits = (1..=points.nrows()).contains(&clusters);
    require(fits, "k-means", "number of clusters", clusters, allowed)?;
    finite("points of k-means", points)
}

fn finite(place: &str, points: ArrayView2<'_, f64>) -> Result<()> {
    for ((i, j), &value) in points.indexed_iter() {
        let within = value.abs() <= LARGEST;
        if !within {
            return Err(Error::Domain {
                place: place.into(),
                name: format!("row {i}, column {j}"),
                value: value.into(),
                allowed: "[-1e150, 1e150]".into(),
            });
        }
    }
    Ok(())
}

fn squared(x: ArrayView1<'_, f64>, y: ArrayView1<'_, f64>) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum()
}

/// For each point the nearest centre and its squared distance.
fn nearest(points: ArrayView2<'_, f64>, centres: &Array2<f64>) -> (Vec<usize>, Vec<f64>) {
    let of = |point: ArrayView1<'_, f64>| {
        let mut best = (0, f64::INFINITY);
        for (k, centre) in centres.rows().into_iter().enumerate() {
            let distance = squared(point, centre);
            if distance < best.1 {
                best = (k, distance);
            }
        }
        best
    };
    points.rows().into_iter().map(of).unzip()
}

/// The mean of each cluster's points; an empty one gets the farthest point of another.
fn means(points: ArrayView2<'_, f64>, labels: &[usize], distances: &[f64], old: Array2<f64>) -> Array2<f64> {
    let mut labels = labels.to_vec();
    let mut counts = vec![0usize; old.nrows()];
    for &label in &labels {
        counts[label] += 1;
    }
    if counts.contains(&0) {
        let mut far: Vec<usize> = (0..labels.len()).filter(|&i| distances[i] > 0.0).collect();
        far.sort_by(|&i, &j| distances[j].total_cmp(&distances[i]));
        let mut far = far.into_iter();
        for empty in 0..counts.len() {
            if counts[empty] == 0
                && let Some(i) = far.find(|&i| counts[labels[i]] > 1)
            {
                counts[labels[i]] -= 1;
                counts[empty] = 1;
                labels[i] = empty;
            }
        }
    }
    let mut sums = Array2::zeros(old.dim());
    for (point, &label) in points.rows().into_iter().zip(&labels) {
        let mut row = sums.row_mut(label);
        row += &point;
    }
    for (k, (mut row, &count)) in sums.rows_mut().into_iter().zip(&counts).enumerate() {
        if count == 0 {
            row.assign(&old.row(k));
        } else {
            row /= count as f64;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use rand::SeedableRng;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Reference {
        kmeans: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        name: String,
        points: Vec<[f64; 3]>,
        start: Vec<[f64; 3]>,
        labels: Vec<usize>,
        centres: Vec<[f64; 3]>,
        inertia: f64,
    }

    fn cases() -> Vec<Case> {
        let reference: Reference =
            serde_json::from_str(include_str!("../../tests/data/cluster/reference.json")).unwrap();
        reference.kmeans
    }

    /// With no, one and two centres that no point is nearest to; `docs/TESTING.md` says where the values come from.
    #[test]
    fn lloyd_agrees_with_scikit_learn() {
        let cases = cases();
        assert_eq!(cases.len(), 3);
        for case in cases {
            let got = lloyd(Array2::from(case.points).view(), case.start.into()).unwrap();
            assert_eq!(got.labels, case.labels, "{}", case.name);
            // Sums of 240 squares.
            assert!((got.inertia / case.inertia - 1.0).abs() < 1e-13, "{}: {}", case.name, got.inertia);
            for (a, b) in got.centres.iter().zip(case.centres.iter().flatten()) {
                assert!((a - b).abs() < 1e-12, "{}: {a} and {b}", case.name);
            }
        }
    }

    #[test]
    fn far_clusters_are_found_and_a_seed_repeats() {
        let corners = array![[0.0, 0.0], [100.0, 0.0], [0.0, 100.0], [100.0, 100.0], [50.0, 300.0]];
        let points =
            Array2::from_shape_fn((200, 2), |(i, j)| corners[[i % 5, j]] + ((i * (j + 3)) % 7) as f64);
        for seed in 0..20 {
            let run = || kmeans(points.view(), 5, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
            let clusters = run();
            let mut first: Vec<usize> = clusters.labels[..5].to_vec();
            assert!(clusters.labels.iter().enumerate().all(|(i, &label)| label == first[i % 5]), "{seed}");
            first.sort_unstable();
            assert_eq!(first, [0, 1, 2, 3, 4]);
            assert_eq!(run(), clusters);
        }
    }

    /// The least inertia of any division of numbers in ascending order into runs of neighbours, which the best one is.
    fn least(points: &[f64], clusters: usize) -> f64 {
        let inertia = |run: &[f64]| {
            let mean = run.iter().sum::<f64>() / run.len() as f64;
            run.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>()
        };
        if clusters == 1 {
            return inertia(points);
        }
        let first = |size: usize| inertia(&points[..size]) + least(&points[size..], clusters - 1);
        (1..=points.len() - (clusters - 1)).map(first).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn the_best_of_several_starts_is_the_least_of_all_divisions() {
        let numbers: Vec<f64> = (0..24).map(|i| f64::from(i + 3 * (i / 4) + (i * i) % 5)).collect();
        let mut sorted = numbers;
        sorted.sort_by(f64::total_cmp);
        let wanted = least(&sorted, 5);
        let points = Array2::from_shape_fn((24, 1), |(i, _)| sorted[i]);
        let reached = |found: Clusters| (found.inertia / wanted - 1.0).abs() < 1e-12;
        let random = ChaCha8Rng::seed_from_u64;
        let single = (0..100).filter(|&s| reached(start(points.view(), 5, &mut random(s)).unwrap())).count();
        // most single starts, but by no means all, so that ten must do what one does not
        assert!((20..80).contains(&single), "{single}");
        let several =
            (0..100).filter(|&s| reached(kmeans(points.view(), 5, &mut random(s)).unwrap())).count();
        assert!(several >= 95, "{several}, single {single}");
    }

    #[test]
    fn of_what_ties_the_first_is_taken() {
        let labels = |points: Array2<f64>, centres| lloyd(points.view(), centres).unwrap().labels;
        // 0 lies between both centres
        let line = array![[-1.0], [0.0], [1.0]];
        assert_eq!(labels(line.clone(), array![[-1.0], [1.0]]), [0, 0, 1]);
        assert_eq!(labels(line, array![[1.0], [-1.0]]), [1, 0, 0]);
        // -2 and 2 are as far from their centre, and two centres have no point
        assert_eq!(labels(array![[-2.0], [2.0], [0.0]], array![[0.0], [50.0], [60.0]]), [1, 2, 0]);

        // a square is halved in two ways of the same inertia
        let square = array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
        let mut decided = 0;
        for seed in 0..20 {
            let random = || ChaCha8Rng::seed_from_u64(seed);
            let mut one = random();
            let starts: Vec<_> = (0..STARTS).map(|_| start(square.view(), 2, &mut one).unwrap()).collect();
            let least = starts.iter().map(|s| s.inertia).fold(f64::INFINITY, f64::min);
            let mut best = starts.iter().filter(|s| s.inertia == least);
            let first = best.next().unwrap();
            assert_eq!(kmeans(square.view(), 2, &mut random()).unwrap(), *first, "{seed}");
            decided += usize::from(best.next_back().is_some_and(|last| last.labels != first.labels));
        }
        assert!(decided > 5, "{decided}");
    }

    #[test]
    fn equal_points_leave_clusters_empty() {
        let points = array![[1.0, 2.0], [1.0, 2.0], [3.0, 4.0], [1.0, 2.0]];
        let clusters = kmeans(points.view(), 3, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        assert_eq!(clusters.inertia, 0.0);
        let l = &clusters.labels;
        assert!(l[0] == l[1] && l[1] == l[3] && l[2] != l[0], "{l:?}");
        assert!(clusters.centres.iter().all(|v| v.is_finite()));
    }

    #[test]
    fn wrong_input_is_refused() {
        let mut points = array![[1.0, 2.0], [0.0, 4.0]];
        let text = |points: &Array2<f64>, clusters| {
            kmeans(points.view(), clusters, &mut ChaCha8Rng::seed_from_u64(1)).unwrap_err().to_string()
        };
        let wrong = "k-means: number of clusters = 3 is outside [1, 2], the number of points";
        assert_eq!(text(&points, 3), wrong);
        assert!(text(&points, 0).contains("number of clusters = 0"));
        let wrong = lloyd(points.view(), array![[1.0]]).unwrap_err().to_string();
        assert_eq!(wrong, "centres of k-means: number of columns is 1, expected 2, that of the points");
        for value in [f64::NAN, f64::INFINITY, -1e151] {
            points[[1, 0]] = value;
            assert!(text(&points, 2).starts_with("points of k-means: row 1, column 0 = "));
        }
    }
}
