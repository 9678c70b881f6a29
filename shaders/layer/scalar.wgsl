// One column to an invocation.
alias Word = f32;

const WIDTH = 1u;

fn x_of(i: u32, c: u32) -> Word {
    return load_x(i, c);
}

fn data_of(i: u32, c: u32) -> Word {
    return load_data(i, c);
}

fn beside_of(i: u32, c: u32) -> Word {
    return load_beside(i, c);
}

fn put_beside(i: u32, c: u32, start: u32, w: Word) {
    store_beside(i, c, start, w);
}

fn put_made(to: Strided, i: u32, c: u32, w: Word) {
    store_made(to, i, c, w);
}

fn xi_of(v: Word, a: Activation, bad: bool) -> Word {
    return xi(v, a, bad);
}

fn back_of(v: Word, w: Word, q: f32, a: Activation, bad: bool) -> Word {
    return back(v, w, q, a, bad);
}
