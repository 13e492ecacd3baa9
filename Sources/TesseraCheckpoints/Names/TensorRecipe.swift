package import TesseraCore

/// How a tensor of a graph comes from those of a checkpoint.
package indirect enum TensorRecipe: Sendable {
  /// The tensor of that name.
  case stored(String)
  /// The same values in another shape.
  case reshaped(TensorRecipe, Shape)
  /// Some of its rows.
  case rows(TensorRecipe, Range<Int>)
  /// Of [out, in, time, height, width]: the sum of these slices of time.
  case time(TensorRecipe, [Int])
  /// Joined along an axis: 0 for outputs, 1 for inputs.
  case joined([TensorRecipe], axis: Int)
  /// direction * magnitude / |direction|, the norm over all axes but the first (weight_norm).
  case weightNormalized(magnitude: String, direction: String)
  /// gain / sqrt(variance + epsilon): a BatchNorm's scale.
  case scale(gain: String, variance: String, epsilon: Double)
  /// bias - mean * scale: a BatchNorm's shift.
  case shift(bias: String, mean: String, gain: String, variance: String, epsilon: Double)
  /// A square 1x1 convolution whose input is added to its result.
  case plusIdentity(TensorRecipe)
  /// Each value times a factor.
  case multiplied(TensorRecipe, by: Float)
  /// Keras' [height, width, in, out] as [out, in, height, width].
  case fromKeras(TensorRecipe)
  /// The other way round along an axis: BGR as RGB.
  case mirrored(TensorRecipe, axis: Int)

  /// The tensors of the checkpoint that it takes.
  package var names: [String] {
    switch self {
    case .stored(let name): [name]
    case .reshaped(let recipe, _), .rows(let recipe, _), .time(let recipe, _),
      .plusIdentity(let recipe), .multiplied(let recipe, _), .fromKeras(let recipe),
      .mirrored(let recipe, _):
      recipe.names
    case .joined(let recipes, _): recipes.flatMap(\.names)
    case .weightNormalized(let magnitude, let direction): [direction, magnitude]
    case .scale(let gain, let variance, _): [gain, variance]
    case .shift(let bias, let mean, let gain, let variance, _): [bias, mean, gain, variance]
    }
  }

  /// The values.
  ///
  /// - Parameter read: Gives a tensor of the checkpoint as float32.
  /// - Returns: Shape and values, row-major.
  /// - Throws: What `read` throws.
  package func values(
    read: (String) throws -> (shape: Shape, values: [Float])
  ) throws -> (shape: Shape, values: [Float]) {
    switch self {
    case .stored(let name): return try read(name)
    case .reshaped(let recipe, let shape):
      return (shape, try recipe.values(read: read).values)
    case .rows(let recipe, let range):
      let (shape, values) = try recipe.values(read: read)
      let row = values.count / max(shape[0], 1)
      let part = Array(values[range.lowerBound * row..<range.upperBound * row])
      return (Shape([range.count] + shape.dimensions.dropFirst()), part)
    case .time(let recipe, let slices):
      return Self.sum(of: slices, try recipe.values(read: read))
    case .joined(let recipes, let axis):
      return Self.join(try recipes.map { try $0.values(read: read) }, axis: axis)
    case .weightNormalized(let magnitude, let direction):
      return Self.normalize(try read(direction), magnitudes: try read(magnitude).values)
    case .scale(let gain, let variance, let epsilon):
      let (shape, gains) = try read(gain)
      return (shape, Self.scales(gains, try read(variance).values, epsilon).map { Float($0) })
    case .shift(let bias, let mean, let gain, let variance, let epsilon):
      let (shape, biases) = try read(bias)
      let scales = Self.scales(try read(gain).values, try read(variance).values, epsilon)
      let means = try read(mean).values
      return (
        shape, biases.indices.map { Float(Double(biases[$0]) - Double(means[$0]) * scales[$0]) }
      )
    case .plusIdentity(let recipe):
      var (shape, values) = try recipe.values(read: read)
      for row in 0..<shape[0] { values[row * shape[0] + row] += 1 }
      return (shape, values)
    case .multiplied(let recipe, let factor):
      let (shape, values) = try recipe.values(read: read)
      return (shape, values.map { $0 * factor })
    case .fromKeras(let recipe):
      return Self.transpose(try recipe.values(read: read))
    case .mirrored(let recipe, let axis):
      return Self.mirror(try recipe.values(read: read), axis: axis)
    }
  }

  private static func scales(_ gains: [Float], _ variances: [Float], _ epsilon: Double) -> [Double]
  {
    zip(gains, variances).map { Double($0) / (Double($1) + epsilon).squareRoot() }
  }

  private typealias Values = (shape: Shape, values: [Float])

  private static func sum(of slices: [Int], _ tensor: Values) -> Values {
    let shape = tensor.shape
    let (frames, plane) = (shape[2], shape[3] * shape[4])
    var result: [Float] = []
    result.reserveCapacity(shape[0] * shape[1] * plane)
    for filter in 0..<shape[0] * shape[1] {
      for place in 0..<plane {
        let sum = slices.reduce(0.0) {
          $0 + Double(tensor.values[(filter * frames + $1) * plane + place])
        }
        result.append(Float(sum))
      }
    }
    return ([shape[0], shape[1], shape[3], shape[4]], result)
  }

  private static func join(_ tensors: [Values], axis: Int) -> Values {
    guard let first = tensors.first else { return ([0], []) }
    var dimensions = first.shape.dimensions
    dimensions[axis] = tensors.reduce(0) { $0 + $1.shape[axis] }
    let outer = first.shape.dimensions.prefix(axis).reduce(1, *)
    var result: [Float] = []
    for index in 0..<outer {
      for tensor in tensors {
        let run = tensor.values.count / max(outer, 1)
        result += tensor.values[index * run..<(index + 1) * run]
      }
    }
    return (Shape(dimensions), result)
  }

  private static func normalize(_ direction: Values, magnitudes: [Float]) -> Values {
    var values = direction.values
    let row = values.count / max(magnitudes.count, 1)
    for (index, magnitude) in magnitudes.enumerated() {
      let range = index * row..<(index + 1) * row
      let norm = range.reduce(0.0) { $0 + Double(values[$1]) * Double(values[$1]) }.squareRoot()
      for place in range {
        values[place] = Float(Double(values[place]) * (Double(magnitude) / norm))
      }
    }
    return (direction.shape, values)
  }

  private static func transpose(_ tensor: Values) -> Values {
    let shape = tensor.shape
    let (taps, inputs, outputs) = (shape[0] * shape[1], shape[2], shape[3])
    var result = [Float](repeating: 0, count: tensor.values.count)
    for tap in 0..<taps {
      for input in 0..<inputs {
        for output in 0..<outputs {
          result[(output * inputs + input) * taps + tap] =
            tensor.values[(tap * inputs + input) * outputs + output]
        }
      }
    }
    return ([outputs, inputs, shape[0], shape[1]], result)
  }

  private static func mirror(_ tensor: Values, axis: Int) -> Values {
    let dimensions = tensor.shape.dimensions
    let inner = dimensions.dropFirst(axis + 1).reduce(1, *)
    let extent = dimensions[axis]
    var result = tensor.values
    for outer in 0..<dimensions.prefix(axis).reduce(1, *) {
      for place in 0..<extent {
        let source = (outer * extent + extent - 1 - place) * inner
        let target = (outer * extent + place) * inner
        for offset in 0..<inner { result[target + offset] = tensor.values[source + offset] }
      }
    }
    return (tensor.shape, result)
  }
}
