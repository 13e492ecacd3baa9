import ArgumentParser
import TesseraStateSpaces

/// The matrices of a measure.
struct SSMHippoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hippo",
    abstract: "Write the matrices of a HiPPO measure.",
    usage: "tessera ssm hippo --measure <measure> --order <order> [<options>]",
    discussion: """
      Measures: legs, legt, lmu, fout (order of state-spaces/s4), lagt, s4d-lin, s4d-inv, \
      s4d-legs, s4d-real; fourier-window (post 10114's complex window, not HiPPO-FouT) and \
      fourier-full (post 10137), whose states are the frequencies -K to K. Forms: paper (B = \
      sqrt(2n+1)), blog (sqrt(2(2n+1))), integer (2n+1: plain Legendre coefficients), lmu (2n+1 \
      with alternating signs); a measure without such a form says why. legs, legt and fout come \
      with Lambda, P and V where the order is even and the form orthonormal: A = 2 Re(V \
      diag(Lambda) V*) - sum p p', p = 2 Re(V P).

      EXAMPLE
        tessera ssm hippo --measure legs --order 64 --form paper -o legs.safetensors
        tessera ssm hippo --measure fout --order 4 --json
      """
  )

  @OptionGroup var hippo: HippoOptions
  @OptionGroup var destination: StateSpaceOutput

  func run() throws {
    try destination.finish(try StateSpaceFile(try hippo.system), verb: "hippo")
  }
}
