//! A scores table as CSV, for benches in other languages: `scores FILE`.

use std::error::Error;
use std::path::Path;

use contract::Score;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path] = &args[..] else { return Err("want FILE".into()) };
    println!("row,col,score,outside");
    for score in contract::read::<Score>(Path::new(path))? {
        if let Some(value) = score.score {
            println!("{},{},{value},{}", score.tile.row, score.tile.col, score.outside == Some(true));
        }
    }
    Ok(())
}
