//! T2: every case of every kernel on every software adapter.

mod support;

/// Cases, elements and the largest backward error, per adapter; no mismatch, no case skipped.
#[test]
fn every_case_holds_on_every_adapter() {
    let cases = maf_srl::validate::cases(None);
    assert!(cases.len() > 1000, "only {} cases", cases.len());
    // side by side: each adapter leaves the cores idle while its results are judged, and the other way round
    let reports: Vec<_> = std::thread::scope(|scope| {
        let on = |one: support::TestAdapter| {
            let cases = &cases;
            scope.spawn(move || {
                (one.label, maf_srl::validate::run(one.adapter, cases, 1, || ()).expect("a device"))
            })
        };
        let running: Vec<_> = support::software_adapters().into_iter().map(on).collect();
        running.into_iter().map(|one| one.join().expect("the cases run")).collect()
    });
    for (label, report) in reports {
        println!(
            "{label}: {} cases, {} elements, {} in a band, at most {:.2} ULP ({}), {:.1} s",
            report.cases,
            report.checked,
            report.in_band,
            report.max_ulps,
            report.max_ulps_case,
            report.seconds
        );
        for failure in &report.failures {
            println!("  {}: {}", failure.case, failure.what.join("; "));
        }
        assert_eq!(report.mismatches, 0, "{label}");
        // all three round to nearest
        for kernel in &report.kernels {
            println!(
                "  {}: {:+.3} ULP in the mean of {} ({:+.0} deviations), {:.2} of its bound",
                kernel.name, kernel.bias_ulps, kernel.bias_elements, kernel.bias_deviations, kernel.max_share
            );
            assert!(!kernel.leans, "{label}: {kernel:?}");
        }
        assert_eq!(report.skipped, 0, "{label}: {:?}", report.skip_reason);
        assert_eq!(report.cases, cases.len() as u64);
    }
}

/// Few workgroups to a dimension: dispatches that are one row elsewhere are several.
#[test]
fn cases_hold_where_dispatches_are_folded() {
    let limits = wgpu::Limits { max_compute_workgroups_per_dimension: 7, ..wgpu::Limits::default() };
    let cases = maf_srl::validate::quick(maf_srl::validate::cases(None));
    for one in support::software_adapters() {
        let descriptor = wgpu::DeviceDescriptor { required_limits: limits.clone(), ..Default::default() };
        let (device, queue) = one.device_with(&descriptor);
        let kernels = maf_srl::kernels::PipelineCache::new(&device);
        let (mut run, mut refused) = (0, 0);
        for case in &cases {
            match case.run(&device, &queue, &kernels) {
                Ok(outcome) => {
                    run += 1;
                    assert_eq!(outcome.first_mismatch(), None, "{}: {}", one.label, case.name());
                }
                // more than seven rows of seven
                Err(maf_srl::Error::Limit { .. }) => refused += 1,
                Err(error) => panic!("{}: {}: {error}", one.label, case.name()),
            }
        }
        println!("{}: {run} cases, {refused} refused", one.label);
        assert!(run > 3 * refused, "{}: {run} cases, {refused} refused", one.label);
    }
}
