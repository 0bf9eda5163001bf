//! Colours of a map for QGIS.

use figure::Scale;

/// Stops of the colour ramp.
const STOPS: usize = 21;

/// A style that paints band 1, the score, in the colours of the picture; QGIS takes it up where it lies beside the map under its name.
pub fn qml() -> String {
    let table = Scale::Score.table(STOPS);
    let item = |(i, colour): (usize, &figure::Rgb)| {
        let value = i as f64 / (STOPS - 1) as f64;
        let figure::Rgb(red, green, blue) = *colour;
        format!(
            "        <item value=\"{value:.2}\" label=\"{value:.2}\" color=\"#{red:02x}{green:02x}{blue:02x}\" alpha=\"255\"/>\n"
        )
    };
    let items: String = table.iter().enumerate().map(item).collect();
    format!(
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n<qgis version=\"3.22\" styleCategories=\"Symbology\">\n  <pipe>\n    \
         <rasterrenderer type=\"singlebandpseudocolor\" band=\"1\" opacity=\"1\" alphaBand=\"-1\" classificationMin=\"0\" classificationMax=\"1\">\n      \
         <rastershader>\n      <colorrampshader colorRampType=\"INTERPOLATED\" classificationMode=\"1\" clip=\"0\" minimumValue=\"0\" maximumValue=\"1\">\n\
         {items}      </colorrampshader>\n      </rastershader>\n    </rasterrenderer>\n  </pipe>\n</qgis>\n"
    )
}
