// A word of a group's members; zeros where there are none.
fn word(tile: Tile, site: Site, part: u32, i: u32) -> vec4<u32> {
    let at = aim(tile, site, members(tile, part, i));
    if !live.x {
        return vec4(0u);
    }
    return select(vec4(0u), load_w(tile.w + at), live);
}

// What this invocation's members of a group add up to.
fn gathered(tile: Tile, q: u32, lane: Lane) -> Sum {
    let site = site_of(tile, q);
    let n = words(tile);
    var sum = NOTHING;
    var i = 0u;
    // four words on their way at a time
    for (; i + 4u <= n; i += 4u) {
        let a = word(tile, site, lane.part, i);
        let b = word(tile, site, lane.part, i + 1u);
        let c = word(tile, site, lane.part, i + 2u);
        let d = word(tile, site, lane.part, i + 3u);
        if ordinary(a, b, c, d) {
            sum = add_ordinary(sum, a, b, c, d);
        } else {
            for (var j = i; j < i + 4u; j++) {
                sum = add(sum, word(tile, site, lane.part, j));
            }
        }
    }
    for (; i < n; i++) {
        sum = add(sum, word(tile, site, lane.part, i));
    }
    return sum;
}
