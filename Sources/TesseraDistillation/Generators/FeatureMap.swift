import TesseraCore

/// What lies between two layers of a generator: channels of values in double precision.
struct FeatureMap {
  let channels: Int
  let height: Int
  let width: Int
  /// [channels, height, width].
  var values: [Double]

  /// Elements of the matrix of patches that is made at once: 16 MiB.
  private static let patchLimit = 1 << 21

  init(channels: Int, height: Int, width: Int, values: [Double]) {
    (self.channels, self.height, self.width, self.values) = (channels, height, width, values)
  }

  /// Zeros.
  init(channels: Int, height: Int, width: Int) {
    let values = [Double](repeating: 0, count: channels * height * width)
    self.init(channels: channels, height: height, width: width, values: values)
  }

  /// The positions of a channel.
  var area: Int { height * width }

  /// x / (1 + e^-x) of every value.
  var activated: FeatureMap { mapped { NoiseEmbedding.silu($0) } }

  /// A function of every value.
  func mapped(_ function: (Double) -> Double) -> FeatureMap {
    FeatureMap(channels: channels, height: height, width: width, values: values.map(function))
  }

  /// The sum with another of the same extents, times a factor.
  func plus(_ other: FeatureMap, times factor: Double = 1) -> FeatureMap {
    precondition(values.count == other.values.count, "the extents are equal")
    var result = self
    for index in values.indices {
      result.values[index] = (values[index] + other.values[index]) * factor
    }
    return result
  }

  /// The channels of another behind these.
  func joined(with other: FeatureMap) -> FeatureMap {
    precondition(area == other.area, "the extents are equal")
    return FeatureMap(
      channels: channels + other.channels,
      height: height,
      width: width,
      values: values + other.values
    )
  }

  /// Every channel times a factor of its own, plus a value of its own.
  func affine(scale: (Int) -> Double, shift: (Int) -> Double) -> FeatureMap {
    var result = self
    for channel in 0..<channels {
      let (factor, offset) = (scale(channel), shift(channel))
      for index in channel * area..<(channel + 1) * area {
        result.values[index] = values[index] * factor + offset
      }
    }
    return result
  }

  /// Group normalisation: each group of channels to mean 0 and variance 1, then scale and shift.
  func normalized(groups: Int, epsilon: Double, scale: [Double], shift: [Double]) -> FeatureMap {
    var result = self
    let size = values.count / groups
    for group in 0..<groups {
      let range = group * size..<(group + 1) * size
      let mean = values[range].reduce(0, +) / Double(size)
      let variance = values[range].reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(size)
      let factor = 1 / (variance + epsilon).squareRoot()
      for index in range { result.values[index] = (values[index] - mean) * factor }
    }
    return result.affine(scale: { scale[$0] }, shift: { shift[$0] })
  }

  /// A convolution with an odd, square kernel.
  ///
  /// - Parameters:
  ///   - kernel: [outputs, channels · side · side].
  ///   - side: The kernel's side.
  ///   - padding: Zeros around the image.
  /// - Returns: A map whose sides are longer by 2 · padding + 1 - side.
  func convolved(with kernel: Matrix, side: Int, padding: Int) -> FeatureMap {
    let (rows, columns) = (height + 2 * padding + 1 - side, width + 2 * padding + 1 - side)
    var result = FeatureMap(channels: kernel.rows, height: rows, width: columns)
    let block = max(1, FeatureMap.patchLimit / (kernel.columns * columns))
    for first in stride(from: 0, to: rows, by: block) {
      let part = first..<min(first + block, rows)
      let patches = patches(of: part, columns: columns, side: side, padding: padding)
      let product = LinearAlgebra.product(kernel, patches)
      for channel in 0..<kernel.rows {
        let source = channel * patches.columns
        let place = (channel * rows + first) * columns
        for index in 0..<patches.columns {
          result.values[place + index] = product.elements[source + index]
        }
      }
    }
    return result
  }

  /// The values under the kernel, a column for each position of some rows of the result.
  private func patches(of rows: Range<Int>, columns: Int, side: Int, padding: Int) -> Matrix {
    var result = Matrix(rows: channels * side * side, columns: rows.count * columns)
    for channel in 0..<channels {
      for offset in 0..<side * side {
        var place = (channel * side * side + offset) * result.columns
        let (down, right) = (offset / side - padding, offset % side - padding)
        for row in rows {
          let y = row + down
          for column in 0..<columns {
            let x = column + right
            if y >= 0, y < height, x >= 0, x < width {
              result.elements[place] = values[(channel * height + y) * width + x]
            }
            place += 1
          }
        }
      }
    }
    return result
  }

  /// Every second value of each channel's convolution with one filter.
  func halved(by filter: [Double], side: Int, padding: Int) -> FeatureMap {
    let (rows, columns) = (
      (height + 2 * padding - side) / 2 + 1, (width + 2 * padding - side) / 2 + 1
    )
    var result = FeatureMap(channels: channels, height: rows, width: columns)
    for position in result.values.indices {
      let (channel, row, column) = (
        position / (rows * columns), position / columns % rows, position % columns
      )
      var sum = 0.0
      for index in 0..<side * side {
        let (y, x) = (2 * row + index / side - padding, 2 * column + index % side - padding)
        guard y >= 0, y < height, x >= 0, x < width else { continue }
        sum += filter[index] * values[(channel * height + y) * width + x]
      }
      result.values[position] = sum
    }
    return result
  }

  /// The transpose of ``halved(by:side:padding:)``, times 4: each value spread with the filter.
  func doubled(by filter: [Double], side: Int, padding: Int) -> FeatureMap {
    let (rows, columns) = (
      2 * (height - 1) + side - 2 * padding, 2 * (width - 1) + side - 2 * padding
    )
    var result = FeatureMap(channels: channels, height: rows, width: columns)
    for position in values.indices {
      let (channel, row, column) = (position / area, position / width % height, position % width)
      for index in 0..<side * side {
        let (y, x) = (2 * row + index / side - padding, 2 * column + index % side - padding)
        guard y >= 0, y < rows, x >= 0, x < columns else { continue }
        result.values[(channel * rows + y) * columns + x] += 4 * filter[index] * values[position]
      }
    }
    return result
  }
}
