//! How the losses of a training went: lines of JSON for programs, a picture for people.
//!
//! Steps and losses are all there is in them: no time, so that a run that was killed and went on tells the same.

use figure::{Axis, Panel, Scatter, Words, side_by_side};

/// The losses of one member of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// Which run: on all samples, on the kept ones, or without a fold of clusters.
    pub run: String,
    /// Which member.
    pub member: usize,
    /// Step and loss.
    pub losses: Vec<(u64, f32)>,
}

/// One line of JSON a noted step.
pub fn lines(courses: &[Course]) -> String {
    let line = |course: &Course, step: u64, loss: f32| {
        let Course { run, member, .. } = course;
        format!("{{\"run\": \"{run}\", \"member\": {member}, \"step\": {step}, \"loss\": {loss}}}\n")
    };
    courses.iter().flat_map(|c| c.losses.iter().map(move |&(step, loss)| line(c, step, loss))).collect()
}

/// The losses of all members, one panel for the model and one for the runs that gave its figures; nothing where there are none.
///
/// # Errors
/// If the page cannot be drawn.
pub fn picture(courses: &[Course]) -> Result<Option<Vec<u8>>, figure::FigureError> {
    let (model, others): (Vec<&Course>, Vec<&Course>) =
        courses.iter().partition(|c| c.run == "all" || c.run == "whole");
    let top = courses.iter().flat_map(|c| &c.losses).map(|l| f64::from(l.1)).fold(0.0, f64::max);
    let panel = |heading: &str, of: &[&Course]| {
        let points: Vec<(u64, f32)> = of.iter().flat_map(|c| c.losses.iter().copied()).collect();
        (!points.is_empty()).then(|| {
            Panel::Scatter(Scatter {
                heading: heading.to_owned(),
                x: Axis::linear("Step"),
                y: Axis::linear("Loss of a batch").between(0.0, top * 1.2),
                xs: points.iter().map(|p| p.0 as f64).collect(),
                ys: points.iter().map(|p| f64::from(p.1)).collect(),
                notes: vec![format!("trainings: {}", of.len())],
            })
        })
    };
    let panels = [panel("Members of the model", &model), panel("Trainings for the figures", &others)];
    let panels: Vec<Panel> = panels.into_iter().flatten().collect();
    if panels.is_empty() {
        return Ok(None);
    }
    let words = Words {
        title: "Loss of the training".to_owned(),
        subtitle: "One mark a noted step of a member.".to_owned(),
        credit: String::new(),
    };
    side_by_side(&words, &panels).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_noted_step_is_a_line_of_json() {
        let courses = [Course { run: "all".into(), member: 1, losses: vec![(0, 2.5), (10, 0.125)] }];
        let text = lines(&courses);
        let values: Vec<serde_json::Value> = text.lines().flat_map(serde_json::from_str).collect();
        assert_eq!(values.len(), 2);
        assert_eq!((values[1]["step"].as_u64(), values[1]["loss"].as_f64()), (Some(10), Some(0.125)));
    }
}
