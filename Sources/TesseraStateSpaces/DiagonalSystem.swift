import TesseraCore

/// Λ, B and C of a diagonal system, one of each conjugate pair, for one or more channels.
struct DiagonalSystem {
  let channels: Int
  let modes: Int
  /// `[channels]` where some array has channels, else empty.
  let leadingShape: [Int]
  /// `[outputs]` where C has several rows per channel, else empty.
  let outputShape: [Int]
  private let values: [ComplexNumber]
  private let inputs: [ComplexNumber]
  private let outputs: [ComplexNumber]?

  /// The rows of C that each channel has.
  var outputCount: Int { outputShape.first ?? 1 }

  /// Takes the arrays of a file: each is [modes] or [channels, modes], and C may be [outputs, channels, modes].
  ///
  /// - Parameters:
  ///   - file: Holds Lambda, B, and C where it has outputs.
  ///   - channels: The number of channels that something else has, or nil.
  ///   - isDiscrete: Take A_bar and B_bar for Lambda and B. e^(dt Λ) may hold a number with its conjugate although Λ
  ///     does not: frequencies beyond half the sampling rate come out as others.
  /// - Throws: `TesseraError` where shapes do not fit or pairs are not halved.
  init(
    _ file: StateSpaceFile,
    channels: Int? = nil,
    isDiscrete: Bool = false
  ) throws(TesseraError) {
    let names = isDiscrete ? ["A_bar", "B_bar"] : ["Lambda", "B"]
    let lambda = try file.array(names[0])
    guard let modes = lambda.shape.last, modes > 0 else {
      throw .mismatch(
        "\(names[0]) has the shape \(lambda.storedShape), and [modes, 2] was expected"
      )
    }
    var count = channels
    let arrays =
      [(names[0], lambda), (names[1], try file.array(names[1]))]
      + (file.arrays["C"].map { [("C", $0)] } ?? [])
    var outputShape: [Int] = []
    for (name, array) in arrays {
      let isOutput = name == "C" && array.shape.count == 3
      let shape = isOutput ? Array(array.shape.dropFirst()) : array.shape
      let isFlat = shape == [modes]
      guard isFlat || (shape.count == 2 && shape[1] == modes) else {
        throw .mismatch(
          "\(name) has the shape \(array.storedShape): [\(modes), 2] or [channels, \(modes), 2] was "
            + "expected"
        )
      }
      if isOutput { outputShape = [array.shape[0]] }
      guard !isFlat else { continue }
      guard count == nil || count == shape[0] else {
        throw .mismatch("\(name) has \(shape[0]) channels, and others \(count ?? 0)")
      }
      count = shape[0]
    }
    guard count != 0, outputShape != [0] else { throw .mismatch("the arrays have 0 channels") }
    self.modes = modes
    self.channels = count ?? 1
    leadingShape = count.map { [$0] } ?? []
    self.outputShape = outputShape
    values = lambda.complexValues
    inputs = arrays[1].1.complexValues
    outputs = file.arrays["C"]?.complexValues
    if !isDiscrete { try DiagonalSystem.checkHalves(values, modes: modes) }
  }

  /// Refuses a list that holds both numbers of a conjugate pair: 2 Re would count it twice.
  static func checkHalves(_ values: [ComplexNumber], modes: Int) throws(TesseraError) {
    for start in stride(from: 0, to: values.count, by: modes) {
      let row = values[start..<start + modes]
      let above = row.count { $0.imaginary > 0 }
      let below = row.count { $0.imaginary < 0 }
      guard above > 0, below > 0 else { continue }
      let whole = Set(row)
      let paired = row.count { $0.imaginary != 0 && whole.contains($0.conjugate) }
      guard paired > 0 else { continue }
      throw .mismatch(
        "Lambda holds \(paired) of \(modes) values together with their conjugates (\(above) above and "
          + "\(below) below the real axis): store one of each pair"
      )
    }
  }

  private func row(_ channel: Int, of array: [ComplexNumber]) -> ArraySlice<ComplexNumber> {
    let start = array.count == modes ? 0 : channel * modes
    return array[start..<start + modes]
  }

  /// Λ of one channel.
  func lambda(_ channel: Int) -> [ComplexNumber] { Array(row(channel, of: values)) }
  /// B of one channel.
  func b(_ channel: Int) -> [ComplexNumber] { Array(row(channel, of: inputs)) }
  /// One row of C of one channel, or nil.
  func c(_ channel: Int, output: Int = 0) -> [ComplexNumber]? {
    guard let outputs else { return nil }
    guard !outputShape.isEmpty else { return Array(row(channel, of: outputs)) }
    let start = (output * channels + channel) * modes
    return Array(outputs[start..<start + modes])
  }
}
