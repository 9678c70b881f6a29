//! Pictures as tiles: all K x K patches, or the picture itself as the only one.

use ndarray::{Array2, ArrayView1, s};

use crate::data::{Dataset, Source};
use maf_srl::error::{Result, shape, unsupported};

/// About as many tiles are worked on at once.
const AT_ONCE: usize = 1 << 14;

/// Where tiles of one size lie in pictures of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiles {
    /// Of the pictures.
    picture: (usize, usize),
    /// Of the tiles.
    pub width: usize,
    /// See `width`.
    pub height: usize,
}

impl Tiles {
    /// Patches of this side, or whole pictures.
    pub fn new(part: &Dataset, side: Option<u32>) -> Result<Self> {
        let picture = (part.width, part.height);
        if part.channels != 1 || part.height < 2 || part.width < 2 {
            return Err(unsupported(
                format!("data set {}", part.name),
                format!(
                    "samples of {} x {} with {} channels are no grey pictures",
                    part.height, part.width, part.channels
                ),
                super::SOURCES.map(Source::name).join(", "),
            ));
        }
        let (width, height) = side.map_or(picture, |side| (side as usize, side as usize));
        if width > picture.0 || height > picture.1 {
            return Err(shape(
                "`patch`",
                "side of the patches",
                width,
                format!("at most {} in {}", picture.0.min(picture.1), part.name),
            ));
        }
        Ok(Tiles { picture, width, height })
    }

    /// The pixels of a tile.
    pub fn components(&self) -> usize {
        self.width * self.height
    }

    /// How many tiles a picture has.
    pub fn positions(&self) -> usize {
        (self.picture.0 - self.width + 1) * (self.picture.1 - self.height + 1)
    }

    /// Where the rows of the tile at a position lie: in the picture and in the tile.
    fn rows(&self, at: usize) -> impl Iterator<Item = (std::ops::Range<usize>, std::ops::Range<usize>)> + '_ {
        let across = self.picture.0 - self.width + 1;
        let first = at / across * self.picture.0 + at % across;
        (0..self.height).map(move |y| {
            let from = first + y * self.picture.0;
            (from..from + self.width, y * self.width..(y + 1) * self.width)
        })
    }

    /// Copies one tile.
    pub fn cut(&self, picture: ArrayView1<'_, f32>, at: usize, tile: &mut [f32]) {
        for (from, to) in self.rows(at) {
            tile[to].iter_mut().zip(picture.slice(s![from])).for_each(|(to, from)| *to = *from);
        }
    }

    /// The pictures (one per row) with each tile replaced by its estimate, the mean of them where tiles overlap.
    pub fn through(
        &self,
        pictures: &Array2<f32>,
        mut estimate: impl FnMut(Array2<f32>) -> Result<Array2<f32>>,
    ) -> Result<Array2<f32>> {
        let positions = self.positions();
        if positions == 1 {
            return estimate(pictures.clone());
        }
        let mut counts = vec![0.0f32; pictures.ncols()];
        (0..positions)
            .flat_map(|at| self.rows(at))
            .for_each(|(r, _)| counts[r].iter_mut().for_each(|c| *c += 1.0));
        let mut whole = Array2::zeros(pictures.raw_dim());
        let together = (AT_ONCE / positions).max(1);
        for first in (0..pictures.nrows()).step_by(together) {
            let count = together.min(pictures.nrows() - first);
            let mut cut = vec![0.0; count * positions * self.components()];
            for (k, tile) in cut.chunks_exact_mut(self.components()).enumerate() {
                self.cut(pictures.row(first + k / positions), k % positions, tile);
            }
            let cut = rows(cut, self.components())?;
            let made = estimate(cut)?;
            for (k, tile) in made.outer_iter().enumerate() {
                let mut picture = whole.row_mut(first + k / positions);
                for (to, from) in self.rows(k % positions) {
                    let mut part = picture.slice_mut(s![to]);
                    part += &tile.slice(s![from]);
                }
            }
        }
        for mut picture in whole.outer_iter_mut() {
            picture.iter_mut().zip(&counts).for_each(|(v, c)| *v /= c);
        }
        Ok(whole)
    }
}

/// Samples of `components` numbers each, one per row.
pub fn rows(values: Vec<f32>, components: usize) -> Result<Array2<f32>> {
    let (length, count) = (values.len(), values.len() / components);
    Array2::from_shape_vec((count, components), values)
        .map_err(|_| shape("samples", "number of values", length, format!("a multiple of {components}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(width: usize, height: usize) -> Dataset {
        let features = Array2::from_shape_fn((3, width * height), |(i, j)| (i * 100 + j) as f32);
        Dataset {
            name: "made-up".into(),
            features,
            labels: vec![0; 3],
            classes: 1,
            width,
            height,
            channels: 1,
        }
    }

    #[test]
    fn tiles_left_as_they_are_make_the_picture_again() {
        for (side, positions) in [(None, 1), (Some(2), 12), (Some(4), 2)] {
            let set = set(5, 4);
            let tiles = Tiles::new(&set, side).unwrap();
            assert_eq!(tiles.positions(), positions);
            let mut seen = 0;
            let same = tiles.through(&set.features, |x| {
                seen += x.nrows();
                Ok(x)
            });
            assert_eq!((same.unwrap(), seen), (set.features, 3 * positions));
        }
    }

    #[test]
    fn a_tile_holds_its_pixels() {
        let set = set(5, 4);
        let mut tile = [0.0; 4];
        Tiles::new(&set, Some(2)).unwrap().cut(set.features.row(1), 5, &mut tile);
        assert_eq!(tile, [106.0, 107.0, 111.0, 112.0]);
    }

    #[test]
    fn patches_larger_than_the_picture_and_other_data_are_refused() {
        let said = Tiles::new(&set(5, 4), Some(5)).unwrap_err().to_string();
        assert_eq!(said, "`patch`: side of the patches is 5, expected at most 4 in made-up");
        assert!(matches!(Tiles::new(&set(5, 1), None), Err(maf_srl::Error::Unsupported { .. })));
    }
}
