// A matrix, or its transpose: where its structure and its values start, and for dense ones how far apart neighbours are.
struct Side {
    rows: u32,
    columns: u32,
    structure: u32,
    values: u32,
    down: u32,
    across: u32,
}

// The same for another layer, whose values lie `apart` further on per layer.
fn side(base: Side, layer: u32, apart: u32) -> Side {
    var other = base;
    other.values += layer * apart;
    return other;
}
