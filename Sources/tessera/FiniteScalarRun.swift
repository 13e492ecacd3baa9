import Readers
import Tensors
import Tokenization
import Writers

/// One file through a finite scalar quantizer, a block of positions at a time.
struct FiniteScalarRun {
  let quantizer: FiniteScalarQuantizer
  let specification: QuantizerSpecification
  /// Whether digits stand in the place of codes.
  let usesDigits: Bool
  let input: String
  let file: ArrayFile
  let output: String
  /// Files that must not be written over.
  let inputs: [String]

  /// Positions a block: some MiB of latents.
  private static let block = 1 << 16

  private var shape: [Int] { file.header.shape.dimensions }

  /// Latents to codes or digits.
  func quantize() throws -> QuantizeSummary {
    guard [.float32, .float16].contains(file.header.elementType) else {
      throw mismatch(
        "latents are float32 (or float16), and these are \(file.header.elementType.rawValue); "
          + "save them with astype('float32')"
      )
    }
    let positions = try positions(of: "latents")
    let digitType = ElementType.unsigned(holding: UInt64(quantizer.levels.max() ?? 0))
    let codeType = ElementType.unsigned(holding: UInt64(quantizer.vocabularySize))
    var usage = CodeUsage(vocabularySize: quantizer.vocabularySize)
    var minMargin: Float?
    let (type, shape) = try write(
      usesDigits ? digitType : codeType,
      shape: usesDigits ? shape : shape.dropLast(),
      positions: positions
    ) { block in
      let latents = try file.read(elements(block)).floats()
      let quantized = try at(block.lowerBound) { () throws(QuantizerError) in
        try quantizer.quantize(latents)
      }
      usage.add(quantized.codes)
      minMargin = [minMargin, quantized.margins.min()].compactMap(\.self).min()
      return usesDigits
        ? narrow(try quantizer.digits(of: quantized.codes), to: digitType)
        : narrow(quantized.codes, to: codeType)
    }
    let used = usage.used
    return QuantizeSummary(
      quantizer: specification,
      vocabulary: quantizer.vocabularySize,
      positions: positions,
      used: used,
      usage: used.map { Double($0) / Double(quantizer.vocabularySize) },
      minMargin: minMargin,
      dtype: String(describing: type),
      shape: shape
    )
  }

  /// Codes or digits to values.
  func dequantize() throws -> QuantizeSummary {
    let positions = usesDigits ? try positions(of: "digits") : file.header.shape.elementCount ?? 0
    let (type, shape) = try write(
      .float32,
      shape: usesDigits ? shape : shape + [quantizer.dimensions],
      positions: positions
    ) { block in
      let numbers = try naturals(usesDigits ? elements(block) : block)
      let values = try at(block.lowerBound) { () throws(QuantizerError) in
        try quantizer.values(of: usesDigits ? quantizer.codes(ofDigits: numbers) : numbers)
      }
      return Tensor(shape: [values.count], elements: values).bytes
    }
    return QuantizeSummary(
      quantizer: specification,
      vocabulary: quantizer.vocabularySize,
      positions: positions,
      dtype: String(describing: type),
      shape: shape
    )
  }

  /// The number of positions of an array with one value a dimension.
  private func positions(of what: String) throws -> Int {
    guard shape.last == quantizer.dimensions, let count = file.header.shape.elementCount else {
      throw mismatch(
        "\(what) of shape \(shape), and the quantizer has \(quantizer.dimensions) dimensions: the "
          + "last axis must have as many; move the channels last"
      )
    }
    return count / quantizer.dimensions
  }

  private func elements(_ positions: Range<Int>) -> Range<Int> {
    positions.lowerBound * quantizer.dimensions..<positions.upperBound * quantizer.dimensions
  }

  /// Writes the header and then each block's bytes; nothing appears before all are there.
  private func write(
    _ type: ElementType,
    shape: [Int],
    positions: Int,
    _ bytes: (Range<Int>) throws -> [UInt8]
  ) throws -> (ElementType, [Int]) {
    guard let header = NPYHeader(elementType: type, shape: Shape(shape)),
      let encoded = header.encoded
    else { throw mismatch("the result of shape \(shape) is larger than a file can be") }
    var written = try AtomicFile(path: output, reading: inputs)
    try written.write(encoded)
    for start in stride(from: 0, to: positions, by: FiniteScalarRun.block) {
      let block = start..<min(positions, start + FiniteScalarRun.block)
      try written.write(try bytes(block))
    }
    try written.commit()
    return (type, shape)
  }

  /// Runs `body` on a block that starts at a position; its errors then count from the file's start,
  /// and name the file.
  private func at<Value>(
    _ position: Int,
    _ body: () throws(QuantizerError) -> Value
  ) throws -> Value {
    do {
      return try body()
    } catch {
      throw FileProblem(path: input, cause: error.moved(by: position))
    }
  }

  /// Elements of any integer type as codes or digits.
  private func naturals(_ elements: Range<Int>) throws -> [UInt32] {
    let tensor = try file.read(elements)
    guard let numbers = tensor.integers() else {
      throw mismatch(
        "codes are integers below 2^63, and these are \(tensor.elementType.rawValue); name the file "
          + "of codes"
      )
    }
    return try numbers.enumerated().map { index, number in
      guard let natural = UInt32(exactly: number) else {
        throw mismatch("element \(elements.lowerBound + index) is \(number), and no code is")
      }
      return natural
    }
  }

  private func narrow(_ numbers: [UInt32], to type: ElementType) -> [UInt8] {
    let shape: Shape = [numbers.count]
    return switch type {
    case .uint8: numbers.map { UInt8($0) }
    case .uint16: Tensor(shape: shape, elements: numbers.map { UInt16($0) }).bytes
    default: Tensor(shape: shape, elements: numbers).bytes
    }
  }

  private func mismatch(_ reason: String) -> FileProblem {
    FileProblem(path: input, cause: QuantizerError.shape(reason))
  }
}
