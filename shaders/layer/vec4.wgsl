// Four columns to an invocation: c and those `across`, twice and three times `across` further on.
alias Word = vec4<f32>;

const WIDTH = 4u;

fn x_of(i: u32, c: u32) -> Word {
    let k = job.across;
    return Word(load_x(i, c), load_x(i, c + k), load_x(i, c + 2u * k), load_x(i, c + 3u * k));
}

fn data_of(i: u32, c: u32) -> Word {
    let k = job.across;
    return Word(load_data(i, c), load_data(i, c + k), load_data(i, c + 2u * k), load_data(i, c + 3u * k));
}

fn beside_of(i: u32, c: u32) -> Word {
    let k = job.across;
    return Word(load_beside(i, c), load_beside(i, c + k), load_beside(i, c + 2u * k), load_beside(i, c + 3u * k));
}

fn put_beside(i: u32, c: u32, start: u32, w: Word) {
    let k = job.across;
    store_beside(i, c, start, w.x);
    store_beside(i, c + k, start, w.y);
    store_beside(i, c + 2u * k, start, w.z);
    store_beside(i, c + 3u * k, start, w.w);
}

fn put_made(to: Strided, i: u32, c: u32, w: Word) {
    let k = job.across;
    store_made(to, i, c, w.x);
    store_made(to, i, c + k, w.y);
    store_made(to, i, c + 2u * k, w.z);
    store_made(to, i, c + 3u * k, w.w);
}

fn xi_of(v: Word, a: Activation, bad: bool) -> Word {
    return Word(xi(v.x, a, bad), xi(v.y, a, bad), xi(v.z, a, bad), xi(v.w, a, bad));
}

fn back_of(v: Word, w: Word, q: f32, a: Activation, bad: bool) -> Word {
    return Word(
        back(v.x, w.x, q, a, bad), back(v.y, w.y, q, a, bad), back(v.z, w.z, q, a, bad), back(v.w, w.w, q, a, bad),
    );
}
