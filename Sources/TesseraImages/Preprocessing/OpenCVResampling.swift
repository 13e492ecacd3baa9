/// OpenCV's INTER_LINEAR on bytes, in its fixed-point arithmetic.
///
/// Weights have 11 bits; the horizontal pass keeps all of its bits, the vertical one drops 4 before and 16 after
/// each product, and rounds the sum.
struct OpenCVResampling {
  /// One direction: for each output the two inputs, and the second's weight of 2048.
  private struct Axis {
    var first: [Int] = []
    var second: [Int] = []
    var weights: [(Int32, Int32)] = []

    /// `holds` keeps the outer columns at the border's value; rows are clamped only.
    init(input: Int, output: Int, wanted: Range<Int>, holds: Bool) {
      let scale = 1 / (Double(output) / Double(input))
      for place in wanted {
        var offset = Float((Double(place) + 0.5) * scale - 0.5)
        var index = Int(offset.rounded(.down))
        offset -= Float(index)
        if holds, index < 0 { (index, offset) = (0, 0) }
        if holds, index >= input - 1 { (index, offset) = (input - 1, 0) }
        first.append(min(max(index, 0), input - 1))
        second.append(min(max(index + 1, 0), input - 1))
        weights.append((Self.fixed(1 - offset), Self.fixed(offset)))
      }
    }

    private static func fixed(_ weight: Float) -> Int32 {
      Int32((weight * 2048).rounded(.toNearestOrEven))
    }
  }

  /// The wanted window of a picture, resampled to `target`.
  static func resampled(_ image: RGBXImage, to target: ImageSize, window: PixelBox) -> RGBXImage {
    if image.width == 2 * target.width, image.height == 2 * target.height {
      return halved(image, window: window)
    }
    let columns = Axis(
      input: image.width,
      output: target.width,
      wanted: window.columns,
      holds: true
    )
    let rows = Axis(input: image.height, output: target.height, wanted: window.rows, holds: false)
    var lines: [Int: [Int32]] = [:]
    func line(_ row: Int) -> [Int32] {
      if let line = lines[row] { return line }
      // Rows ascend: what lies two behind is not asked for again.
      lines = lines.filter { $0.key >= row - 2 }
      let line = horizontal(image, row, columns)
      lines[row] = line
      return line
    }
    return unsafe RGBXImage(width: window.width, height: window.height) { output in
      for y in 0..<window.height {
        let (upper, lower) = (line(rows.first[y]), line(rows.second[y]))
        let (one, two) = rows.weights[y]
        for x in 0..<window.width * 4 {
          let sum = (one * (upper[x] >> 4)) >> 16 + (two * (lower[x] >> 4)) >> 16 + 2
          unsafe output[y * window.width * 4 + x] = UInt8(clamping: sum >> 2)
        }
      }
    }
  }

  private static func horizontal(_ image: RGBXImage, _ row: Int, _ columns: Axis) -> [Int32] {
    var line: [Int32] = []
    line.reserveCapacity(columns.first.count * 4)
    for x in columns.first.indices {
      let (one, two) = columns.weights[x]
      let left = row * image.stride + columns.first[x] * 4
      let right = row * image.stride + columns.second[x] * 4
      for channel in 0..<4 {
        line.append(
          Int32(image.bytes[left + channel]) * one + Int32(image.bytes[right + channel]) * two
        )
      }
    }
    return line
  }

  /// The means of 2x2 pixels, rounded half up.
  private static func halved(_ image: RGBXImage, window: PixelBox) -> RGBXImage {
    unsafe RGBXImage(width: window.width, height: window.height) { output in
      for y in 0..<window.height {
        for x in 0..<window.width {
          let place = 2 * (window.top + y) * image.stride + 2 * (window.left + x) * 4
          for channel in 0..<4 {
            let sum =
              Int(image.bytes[place + channel]) + Int(image.bytes[place + 4 + channel])
              + Int(image.bytes[place + image.stride + channel])
              + Int(image.bytes[place + image.stride + 4 + channel])
            unsafe output[(y * window.width + x) * 4 + channel] = UInt8((sum + 2) >> 2)
          }
        }
      }
    }
  }
}
