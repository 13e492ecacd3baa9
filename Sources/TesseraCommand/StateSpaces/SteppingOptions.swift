import ArgumentParser
import TesseraCore
import TesseraStateSpaces

/// How a system is stepped.
struct SteppingOptions: ParsableArguments {
  @Option(help: "forward, backward, bilinear, gbt:A (A from 0 to 1) or zoh.")
  var method: DiscretizationMethod?

  @Option(help: "The step: a number, or a .npy file of one per channel.")
  var dt: String?

  /// The steps: a number, or the channels of a .npy file; nil without `--dt`.
  func lengths() throws -> StepLengths? {
    guard let text = dt else { return nil }
    if let number = Double(text) { return .one(number) }
    guard text.hasSuffix(".npy") else {
      throw ValidationError("--dt: '\(text)' is neither a number nor a .npy file")
    }
    let file = try ArrayFile(path: text)
    guard let count = file.header.shape.elementCount, count <= 1 << 20 else {
      throw ValidationError("--dt: \(text) has the shape \(file.header.shape); a list was expected")
    }
    guard let steps = StateSpaceArray(try file.read(0..<count)) else {
      throw ValidationError("--dt: \(text) contains no real numbers")
    }
    return .channels(steps.values)
  }
}
