//! smoke
#[test]
fn smoke() {
    for adapter in maf_srl::gpu::adapters() {
        let c = maf_srl::gpu::Context::on(adapter).unwrap();
        println!("{}", c.name());
        let kernels = maf_srl::kernels::step::Kernels::new(&c.device);
        let mut total = maf_srl::kernels::Outcome::default();
        let t = std::time::Instant::now();
        let mut n = 0;
        for room in maf_srl::kernels::ROOMS {
            for case in (room.cases)() {
                let o = case
                    .run(&c.device, &c.queue, &kernels)
                    .unwrap_or_else(|e| panic!("{}: {e}", case.name()));
                if o.mismatches > 0 {
                    println!("  {} mism {} {:?}", case.name(), o.mismatches, o.first_mismatch);
                }
                total.merge(o);
                n += 1;
            }
        }
        println!("{n} {total:?} {:?}", t.elapsed());
    }
}
