import TesseraCore

/// What is done to every element on its way: casts and functions, first to last.
///
/// Each function is computed in float64 and rounded to the type that the elements have there, so
/// that steps made at once give what they would give one after another.
struct ElementPipeline: Hashable, Sendable {
  /// One step.
  enum Step: Hashable, Sendable {
    case cast(ElementType)
    case map(ElementMap)
    case affine(scale: Double, offset: Double)
  }

  /// The type of the elements at the start.
  let input: ElementType
  private(set) var steps: [Step] = []

  init(_ input: ElementType) { self.input = input }

  /// The type of the elements at the end.
  var output: ElementType {
    for case .cast(let type) in steps.reversed() { return type }
    return input
  }

  /// The pipeline with one more step.
  func appending(_ step: Step) -> ElementPipeline {
    var pipeline = self
    if case .cast(let type) = step {
      if type == output { return self }
      // Widening and narrowing again changes nothing.
      if case .cast? = steps.last {
        pipeline.steps.removeLast()
        if pipeline.output == type, type.isExact(in: output) { return pipeline }
        pipeline = self
      }
    }
    pipeline.steps.append(step)
    return pipeline
  }

  /// Brings elements through all steps.
  ///
  /// - Parameters:
  ///   - source: `count` elements of the input type.
  ///   - output: Room for `count` elements of the output type; may not overlap `source`.
  ///   - count: The number of elements.
  /// - Throws: `ElementRangeError` where a finite number has no finite result.
  func run(
    _ source: UnsafeRawBufferPointer,
    into output: UnsafeMutableRawBufferPointer,
    count: Int
  ) throws(ElementRangeError) {
    if steps.count == 1, case .cast(let type) = steps[0],
      try unsafe FastCast.run(from: input, source, to: type, output, count: count)
    {
      return
    }
    let block = 1024
    var numbers = [Double](repeating: 0, count: min(block, count))
    for start in stride(from: 0, to: count, by: block) {
      let size = min(block, count - start)
      unsafe ElementPipeline.load(&numbers, from: source, at: start, size, as: input)
      var type = input
      for step in steps { try apply(step, to: &numbers, size, &type) }
      unsafe ElementPipeline.store(numbers, to: output, at: start, size, as: type)
    }
  }

  private func apply(
    _ step: Step,
    to numbers: inout [Double],
    _ size: Int,
    _ type: inout ElementType
  ) throws(ElementRangeError) {
    if case .cast(let next) = step { type = next }
    for index in 0..<size {
      let x = numbers[index]
      let y: Double
      switch step {
      case .cast: y = x
      case .map(let map): y = map(x)
      case .affine(let scale, let offset): y = scale * x + offset
      }
      let rounded = ElementPipeline.rounded(y, to: type)
      guard rounded.isFinite || !x.isFinite else {
        throw ElementRangeError(value: x, step: step.description, type: type)
      }
      numbers[index] = rounded
    }
  }

  /// The number nearest to `x` among those of a type.
  private static func rounded(_ x: Double, to type: ElementType) -> Double {
    switch type {
    case .float32: Double(Float(x))
    case .float16:
      Double(Float(half: FloatBits.half(FloatBits.roundedToOdd(x).bitPattern)))
    case .bfloat16:
      Double(Float(bfloat16: FloatBits.bfloat16(FloatBits.roundedToOdd(x).bitPattern)))
    default: x
    }
  }

  private static func load(
    _ numbers: inout [Double],
    from source: UnsafeRawBufferPointer,
    at start: Int,
    _ size: Int,
    as type: ElementType
  ) {
    for index in 0..<size {
      let at = (start + index) * (type.bitWidth / 8)
      switch type {
      case .float64:
        unsafe numbers[index] = source.loadUnaligned(fromByteOffset: at, as: Double.self)
      case .float32:
        unsafe numbers[index] = Double(source.loadUnaligned(fromByteOffset: at, as: Float.self))
      case .float16:
        let bits = unsafe source.loadUnaligned(fromByteOffset: at, as: UInt16.self)
        numbers[index] = Double(Float(half: bits))
      case .bfloat16:
        let bits = unsafe source.loadUnaligned(fromByteOffset: at, as: UInt16.self)
        numbers[index] = Double(Float(bfloat16: bits))
      case .float8E4M3: unsafe numbers[index] = Double(FloatBits.float8E4M3(source[at]))
      case .float8E5M2: unsafe numbers[index] = Double(FloatBits.float8E5M2(source[at]))
      default: preconditionFailure("only floats pass through a pipeline")
      }
    }
  }

  /// Stores numbers that the type holds exactly.
  private static func store(
    _ numbers: [Double],
    to output: UnsafeMutableRawBufferPointer,
    at start: Int,
    _ size: Int,
    as type: ElementType
  ) {
    for index in 0..<size {
      let at = (start + index) * (type.bitWidth / 8)
      let x = numbers[index]
      switch type {
      case .float64: unsafe output.storeBytes(of: x, toByteOffset: at, as: Double.self)
      case .float32: unsafe output.storeBytes(of: Float(x), toByteOffset: at, as: Float.self)
      case .float16:
        let bits = FloatBits.half(Float(x).bitPattern)
        unsafe output.storeBytes(of: bits, toByteOffset: at, as: UInt16.self)
      case .bfloat16:
        let bits = FloatBits.bfloat16(Float(x).bitPattern)
        unsafe output.storeBytes(of: bits, toByteOffset: at, as: UInt16.self)
      default: preconditionFailure("only floats leave a pipeline")
      }
    }
  }
}

extension ElementPipeline.Step: CustomStringConvertible {
  /// The step as recipes write it.
  var description: String {
    switch self {
    case .cast(let type): "cast(\(type.rawValue.lowercased()))"
    case .map(let map): map.rawValue
    case .affine(let scale, let offset): "affine(\(scale),\(offset))"
    }
  }
}

/// A number that a step of a conversion cannot bring into its result's type.
struct ElementRangeError: Error, Hashable {
  let value: Double
  let step: String
  let type: ElementType

  /// The error about a tensor.
  func about(_ tensor: String) -> TesseraError {
    .limit(
      "\(step) of \(value) has no finite \(type.rawValue) value; keep this tensor in a wider type",
      place: tensor
    )
  }
}
