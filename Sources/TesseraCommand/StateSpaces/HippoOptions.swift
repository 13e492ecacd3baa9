import ArgumentParser
import TesseraStateSpaces

/// A measure and its scaling.
struct HippoOptions: ParsableArguments {
  @Option(help: "The measure.")
  var measure: HippoMeasure

  @Option(help: "The number N of states; in the s4d measures twice the stored ones.")
  var order: Int

  @Option(help: "The scaling of the basis.")
  var form = HippoForm.paper

  @Option(help: "The window's length, in legt, lmu, fout and fourier-window.")
  var window = 1.0

  @Option(
    help: """
      lagt's tilt: 0 keeps the weight in the basis (public code; diagonal -1/2), 1 is the paper's \
      Theorem 1 (diagonal -1).
      """
  )
  var tilt = 0.0

  /// The system of the measure.
  var system: HippoSystem {
    get throws { try HippoSystem(measure, order: order, form: form, window: window, tilt: tilt) }
  }
}
