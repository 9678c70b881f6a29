//! How the layers share lambda out.

/// How the weights of the two penalties are shared out over the layers l = 1 .. L.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    /// Every layer has lambda and the group lambda as they are.
    Even,
    /// lambda mu and group lambda (1 - mu), mu = s + (1 - 2s) (l - 1) / (L - 1): groups count in the first layers, single
    /// weights in the last (Ma et al., section 4). One layer alone has mu = s.
    Integrated {
        /// The lowest mu, in [0, 0.5].
        s: f64,
    },
    /// The group penalty's own mu = l / L (Yoon and Hwang; Bui et al. (4)).
    Cges,
}

impl Share {
    /// mu of a layer, from 1 to `layers`; none where every layer is treated alike.
    #[must_use]
    pub fn mu(&self, layer: usize, layers: usize) -> Option<f64> {
        match *self {
            Share::Even => None,
            Share::Integrated { s } if layers < 2 => Some(s),
            Share::Integrated { s } => Some(s + (1.0 - 2.0 * s) * (layer - 1) as f64 / (layers - 1) as f64),
            Share::Cges => Some(layer as f64 / layers as f64),
        }
    }
}
