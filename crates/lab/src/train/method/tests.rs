//! Methods as they are written, listed and spread over the layers.

use super::lambdas::DEFAULT_LAMBDAS;
use super::*;
use maf_srl::kernels::step::Optimizer;
use maf_srl::penalty::{Layout, Penalty};
use maf_srl::schedule::Spec;

#[test]
fn pairs_and_names_give_both_penalties() {
    let pair = Method::parse("tl1(a=1e+0) + lasso(weight=sqrt-size)", Some(0.1)).unwrap();
    assert_eq!(pair.penalties(), "tl1(a=1)+lasso(weight=sqrt-size)");
    let share = |method: &Method| match &method.regularisation {
        Regularisation::Penalties(penalties) => penalties.share,
        other => panic!("{other:?}"),
    };
    assert_eq!((pair.lambda, pair.group_lambda, share(&pair)), (0.1, 0.1, Share::Even));
    for named in NAMED {
        let method = Method::parse(named.name, None).unwrap();
        assert_eq!(Method::parse(&named.text(), None).unwrap().penalties(), method.penalties());
        assert_eq!(method.lambda, named.lambda);
        assert_eq!(method.group_lambda, named.lambda);
        method.check(Optimizer::all()[1], None).unwrap();
        assert!(!Penalty::all().iter().any(|p| p.name() == named.name), "{}", named.name);
    }
    let other = Method::parse("integrated-tl1(s=0.25)", None).unwrap();
    assert_eq!(share(&other), Share::Integrated { s: 0.25 });
    for (text, needle) in [
        ("tl1+lasso", "an explicit `lambda`"),
        ("tl1+ridge", "no such group penalty"),
        ("ridge+lasso", "no such penalty"),
        ("integrated-tl1(s=0.6)", "[0, 0.5]"),
        ("integrated-tl1(b=1)", "it has: a, s"),
        ("sgscad(a=0.5)", "outside"),
        ("l1-l2(alpha=2)", "outside"),
    ] {
        let error = Method::parse(text, None).unwrap_err().to_string();
        assert!(error.contains(needle), "{text}: {error}");
    }
}

#[test]
fn commas_in_parentheses_belong_to_the_penalty() {
    let methods = Method::parse_list(" dense, tl1( a = 0.5 ) ,l1", &Choices::default()).unwrap();
    let names: Vec<_> = methods.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["dense", "tl1( a = 0.5 )", "l1"]);
    assert_eq!(methods[1].penalties(), "tl1(a=0.5)");
    assert_eq!(methods[0].lambda, 0.0);
}

#[test]
fn wrong_lists_are_named_with_what_is_allowed() {
    for (text, needle) in [
        ("dsrl,dsrl", "twice"),
        ("", "empty"),
        ("l1,,tl1", "empty"),
        ("l1,", "empty"),
        ("l1,l1", "twice"),
        ("tl1(a=1", "closing )"),
        ("tl1)a", "without its ("),
        ("lasso", "there are dense, none, l1"),
        ("tl1(a=-1)", "outside"),
        ("l1(a=1)", "no parameter"),
    ] {
        let error = Method::parse_list(text, &Choices::default()).unwrap_err().to_string();
        assert!(error.contains(needle), "{text}: {error}");
    }
    for lambda in [-1.0, f64::NAN, f64::INFINITY, 1e7] {
        assert!(matches!(
            Method::parse_list("l1", &Choices { lambdas: vec![lambda], ..Choices::default() }),
            Err(Error::Domain { .. })
        ));
    }
}

#[test]
fn every_lambda_and_every_solver_makes_a_row() {
    let choices = Choices {
        lambdas: vec![0.1, 0.2],
        solvers: vec!["proximal".into(), "splitting".into()],
        group_lambda: Some(0.05),
        ..Choices::default()
    };
    let methods = Method::parse_list("dense,sgl,l1", &choices).unwrap();
    let labels: Vec<_> = methods.iter().map(|m| m.label.as_str()).collect();
    assert_eq!(labels[..3], ["dense", "sgl proximal 0.1", "sgl proximal 0.2"]);
    assert_eq!(labels[3..5], ["sgl splitting 0.1", "sgl splitting 0.2"]);
    assert_eq!(labels.len(), 9);
    assert_eq!(methods[4].solver, Solver::Splitting { beta: 5.0, published: false });
    assert_eq!((methods[4].group_lambda, methods[8].group_lambda), (0.05, 0.0));
    for (choices, needle) in [
        (Choices { lambdas: vec![0.1, 0.1], ..Choices::default() }, "a lambda is named twice"),
        (Choices { solvers: vec!["sgd".into()], ..Choices::default() }, "there are proximal"),
        (Choices { solvers: vec!["splitting".into(); 2], ..Choices::default() }, "a solver is named twice"),
        (Choices { group_lambda: Some(-1.0), ..Choices::default() }, "`group_lambda`"),
        (Choices { solvers: vec!["splitting".into()], beta: Some(0.0), ..Choices::default() }, "beta"),
    ] {
        let error = Method::parse_list("l1", &choices).unwrap_err().to_string();
        assert!(error.contains(needle), "{error}");
    }
    let cges = Method { solver: Solver::Subgradient, ..Method::parse("cges", None).unwrap() };
    assert!(matches!(cges.check(Optimizer::all()[1], None), Err(Error::Unsupported { .. })));
}

#[test]
fn lambdas_come_from_the_table_unless_given() {
    for penalty in Penalty::all() {
        // a penalty need not have one
        match default_lambda(&penalty) {
            Some(lambda) => assert_eq!(Method::parse(penalty.name(), None).unwrap().lambda, lambda),
            None => assert!(Method::parse(penalty.name(), None).is_err()),
        }
        assert_eq!(Method::parse(penalty.name(), Some(0.25)).unwrap().lambda, 0.25);
    }
    for (name, _) in DEFAULT_LAMBDAS {
        assert!(Penalty::all().iter().any(|p| p.name() == *name), "{name} is no penalty");
    }
    assert_eq!(Method::parse("dense", Some(0.25)).unwrap().lambda, 0.0);
    assert!(Method::parse_list(DEFAULT_METHODS, &Choices::default()).unwrap().len() > 3);
}

#[test]
fn lambda_is_shared_out_as_the_papers_have_it() {
    let integrated = Share::Integrated { s: 0.1 };
    let mu = |share: Share, layers: usize| -> Vec<f64> {
        (1..=layers).map(|l| (share.mu(l, layers).unwrap() * 1e9).round() / 1e9).collect()
    };
    assert_eq!(mu(integrated, 5), [0.1, 0.3, 0.5, 0.7, 0.9]);
    assert_eq!(mu(integrated, 1), [0.1]);
    assert_eq!(mu(Share::Cges, 4), [0.25, 0.5, 0.75, 1.0]);
    assert_eq!(Share::Even.mu(1, 3), None);

    let specs = Method::parse("integrated-tl1(s=0)", Some(1.0)).unwrap().specs(&[3, 4, 5, 2], None).unwrap();
    let weights: Vec<_> = specs.iter().step_by(2).collect();
    let group = |s: &Spec| s.group.clone().unwrap();
    assert_eq!(weights.iter().map(|s| s.lambda).collect::<Vec<_>>(), [0.0, 0.5, 1.0]);
    assert_eq!(weights.iter().map(|s| group(s).lambda).collect::<Vec<_>>(), [1.0, 0.5, 0.0]);
    let cges = Method::parse("cges", Some(1.0)).unwrap().specs(&[3, 4, 2], None).unwrap();
    assert_eq!(group(&cges[0]).penalty.to_string(), "cges(mu=0.5)");
    assert_eq!(group(&cges[2]).penalty.to_string(), "cges(mu=1)");
}

#[test]
fn groups_are_those_of_hidden_neurons() {
    let layouts = |text: &str, layout: Option<&Layout>| -> Vec<String> {
        let specs = Method::parse(text, Some(0.1)).unwrap().specs(&[3, 4, 5, 2], layout).unwrap();
        specs.iter().filter_map(|s| s.group.as_ref()).map(|g| g.groups.layout().to_string()).collect()
    };
    assert_eq!(layouts("sgl", None), ["rows", "rows", "columns"]);
    assert_eq!(layouts("l1-l2", None), ["whole", "whole", "whole"]);
    assert_eq!(layouts("sgl", Some(&Layout::Blocks(2))), ["blocks:2", "blocks:2", "blocks:2"]);
    assert!(layouts("l1", None).is_empty());
    assert!(Method::parse("sgl", None).unwrap().specs(&[3, 4], Some(&Layout::Filters)).is_err());
}

#[test]
fn biases_carry_no_penalty() {
    let specs = Method::parse("sgl", Some(0.5)).unwrap().specs(&[2, 3, 2], None).unwrap();
    let names: Vec<_> = specs.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]);
    assert_eq!(specs.iter().map(|s| s.lambda).collect::<Vec<_>>(), [0.5, 0.0, 0.5, 0.0]);
    assert_eq!((specs[1].penalty.name(), &specs[1].group), ("none", &None));
}

#[test]
fn learned_methods_make_rows_where_their_blocks_fit() {
    let choices = Choices { lambdas: vec![0.01, 0.02], layers: vec![2, 4], block: 6, ..Choices::default() };
    let methods = Method::parse_list("dsrl,maf-srl,l1", &choices).unwrap();
    let labels: Vec<_> = methods.iter().map(|m| m.label.as_str()).collect();
    assert_eq!(labels[..3], ["dsrl N=2 0.01", "dsrl N=2 0.02", "dsrl N=4 0.01"]);
    assert_eq!((labels[4], labels[8], labels.len()), ("maf-srl N=2 0.01", "l1 0.01", 10));
    assert_eq!(methods[4].penalties(), "maf-srl(n=6,layers=2)");
    methods[0].check(Optimizer::all()[1], None).unwrap();
    // 6 divides 3 x 4 weights, but no row
    let specs = methods[0].specs(&[12, 3, 4, 5], None).unwrap();
    let layout = |s: &Spec| s.regulariser.as_ref().map(|r| r.groups.layout().to_string());
    let layouts: Vec<_> = specs.iter().step_by(2).map(layout).collect();
    assert_eq!(layouts, [Some("blocks:6".into()), None, None]);
    assert_eq!(methods[0].left_out(&[12, 3, 4, 5]).unwrap(), ["layers.1.weight", "layers.2.weight"]);
    // the slope at zero is lambda: 0.5 is the stand-in's threshold
    assert_eq!(specs[0].lambda, 0.02);
    assert!(Method::dense().specs(&[12, 3], None).unwrap()[0].regulariser.is_none());
    for (choices, needle) in [
        (Choices { layers: vec![2, 2], ..Choices::default() }, "named twice"),
        (Choices { layers: vec![0], ..Choices::default() }, "`layers`"),
        (Choices { block: 0, ..Choices::default() }, "`block`"),
        (Choices { matrix_density: 1.5, ..Choices::default() }, "`matrix_density`"),
    ] {
        let error = Method::parse_list("maf-srl", &choices).unwrap_err().to_string();
        assert!(error.contains(needle), "{error}");
    }
}

#[test]
fn a_regulariser_makes_a_row_where_it_fits() {
    use maf_srl::matrix::Pattern;
    use maf_srl::penalty::Activation;
    use maf_srl::regulariser::Parameters;
    let activation = Activation { eta1: 0.5, eta2: 1.0, delta1: 0.5, delta2: 1.0 };
    let pattern = Arc::new(Pattern::diagonal(6).unwrap());
    let of = Regulariser::new(Parameters::identity(pattern, activation, 1.0).unwrap()).unwrap();
    let solvers = vec!["proximal".into(), "subgradient".into()];
    let choices = Choices { regulariser: Some(Arc::new(of)), solvers, ..Choices::default() };
    let methods = Method::parse_list("l1", &choices).unwrap();
    assert_eq!(methods.len(), 3);
    let maf = &methods[2];
    assert_eq!((maf.name.as_str(), maf.lambda, maf.penalties().as_str()), (MAF, 0.07, "maf(n=6)"));
    assert_eq!(Method::parse_list("maf,l1", &choices).unwrap()[0].name, MAF);
    maf.check(Optimizer::all()[1], None).unwrap();
    // rows, blocks, and neither
    let widths = [6, 4, 3, 5];
    let specs = maf.specs(&widths, None).unwrap();
    let layout = |s: &Spec| s.regulariser.as_ref().map(|r| r.groups.layout().to_string());
    let layouts: Vec<_> = specs.iter().step_by(2).map(layout).collect();
    assert_eq!(layouts, [Some("rows".into()), Some("blocks:6".into()), None]);
    assert_eq!(maf.left_out(&widths).unwrap(), ["layers.2.weight"]);
    assert!(Method::dense().specs(&widths, None).unwrap().iter().all(|s| s.regulariser.is_none()));
    let error = Method::parse_list("maf", &Choices::default()).unwrap_err().to_string();
    assert!(error.contains("`regulariser`"), "{error}");
}

#[test]
fn rows_without_end_are_refused_before_they_are_made() {
    let choices =
        |lambdas: u32| Choices { lambdas: (1..=lambdas).map(f64::from).collect(), ..Choices::default() };
    assert_eq!(Method::parse_list("l1,l0", &choices(5000)).unwrap().len(), 10_000);
    let error = Method::parse_list("l1,l0", &choices(5001)).unwrap_err().to_string();
    assert_eq!(error, "`method`: rows of the comparison = 10002 is outside [1, 10000]");
}
