import ArgumentParser
import TesseraStateSpaces

/// The matrices of a measure.
struct SSMHippoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hippo",
    abstract: "Write the matrices of a HiPPO measure.",
    discussion: """
      Measures: legs, legt, lmu, fout (order of state-spaces/s4), lagt, s4d-lin, s4d-inv, s4d-legs, \
      s4d-real; fourier-window (post 10114's complex window, not HiPPO-FouT) and fourier-full (post \
      10137), whose states are the frequencies -K to K. Forms: paper (B = sqrt(2n+1)), blog \
      (sqrt(2(2n+1))), integer (2n+1: plain Legendre coefficients), lmu (2n+1 with alternating signs); \
      a measure without such a form says why. legs, legt and fout come with Lambda, P and V where the \
      order is even and the form orthonormal: A = 2 Re(V diag(Lambda) V*) - sum p p', p = 2 Re(V P).

      EXAMPLE
        tessera ssm hippo --measure legs --order 64 --form paper -o legs.safetensors
        tessera ssm hippo --measure fout --order 4 --json
      """
  )

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

  @OptionGroup var destination: StateSpaceOutput

  func run() throws {
    let system = try HippoSystem(measure, order: order, form: form, window: window, tilt: tilt)
    try destination.finish(try StateSpaceFile(system), verb: "hippo")
  }
}
