import Synchronization
import TesseraCore

/// The last box of elements that was gathered from a strided tensor.
///
/// A transposed tensor is read badly a row at a time: neighbours lie far apart. So a box of whole
/// rows is gathered at once, in the order of the file, and later ranges are served from it. Memory
/// is one box.
final class GatherWindow: Sendable {
  /// The most bytes of a box.
  static let byteLimit = 32 << 20

  private struct Content {
    var name: String?
    var box = 0..<0
    var bytes: [UInt8] = []
  }

  private let content = Mutex(Content())

  /// Passes on the box that holds an element: its range in row-major order and its bytes.
  func withBox(
    at element: Int,
    of tensor: StoredTensor,
    named name: String,
    in region: FileRegion,
    _ body: (Range<Int>, [UInt8]) -> Int
  ) throws -> Int {
    try content.withLock { content in
      if content.name != name || !content.box.contains(element) {
        let box = GatherBox(at: element, of: tensor)
        content.name = nil
        content.bytes = []
        content.bytes = try box.gather(tensor, from: region)
        content.box = box.elements
        content.name = name
      }
      return body(content.box, content.bytes)
    }
  }
}

/// A box of a tensor's elements that is one range in row-major order: a single index on the outer
/// axes, a range on one, everything on the inner ones.
private struct GatherBox {
  let elements: Range<Int>
  /// Where the box starts in the storage, in elements.
  private var start: Int
  /// The axes with more than one element: extent, stride in the storage, stride in the box.
  private var axes: [(extent: Int, source: Int, target: Int)] = []

  init(at element: Int, of tensor: StoredTensor) {
    let dimensions = tensor.shape.dimensions
    let budget = max(1, GatherWindow.byteLimit / max(1, tensor.elementType.bitWidth / 8))
    var axis = dimensions.count - 1
    var inner = 1
    while axis > 0, inner * dimensions[axis] <= budget {
      inner *= dimensions[axis]
      axis -= 1
    }
    var rest = element / inner
    let index = rest % dimensions[axis]
    let extent = min(dimensions[axis] - index, budget / inner)
    rest /= dimensions[axis]
    start = tensor.offset + index * tensor.strides[axis]
    for outer in (0..<axis).reversed() {
      start += rest % dimensions[outer] * tensor.strides[outer]
      rest /= dimensions[outer]
    }
    let first = element / inner * inner
    elements = first..<first + extent * inner
    var target = inner
    for current in axis..<dimensions.count {
      if current > axis { target /= dimensions[current] }
      let count = current == axis ? extent : dimensions[current]
      if count > 1 { axes.append((count, tensor.strides[current], target)) }
    }
    // The longest steps outermost: the file is then read forwards.
    axes.sort { $0.source > $1.source }
  }

  /// The elements in row-major order, finished.
  func gather(_ tensor: StoredTensor, from region: FileRegion) throws -> [UInt8] {
    let width = tensor.elementType.bitWidth / 8
    var bytes = [UInt8](repeating: 0, count: elements.count * width)
    var source = ForwardBytes(region: region)
    let innermost = axes.last ?? (1, 0, 1)
    let outer = axes.dropLast()
    var index = [Int](repeating: 0, count: outer.count)
    var (from, to) = (start, 0)
    try unsafe bytes.withUnsafeMutableBytes { target in
      while true {
        try unsafe source.copy(
          ForwardBytes.Run(
            count: innermost.extent,
            source: (from * width, innermost.source * width),
            target: (to * width, innermost.target * width)
          ),
          width: width,
          into: target
        )
        var axis = outer.count - 1
        while axis >= 0 {
          index[axis] += 1
          from += outer[axis].source
          to += outer[axis].target
          if index[axis] < outer[axis].extent { break }
          from -= index[axis] * outer[axis].source
          to -= index[axis] * outer[axis].target
          index[axis] = 0
          axis -= 1
        }
        if axis < 0 { break }
      }
      unsafe tensor.finish(target)
    }
    return bytes
  }
}

/// Bytes of a region through a small buffer, for reads that mostly go forwards.
private struct ForwardBytes {
  /// Elements that lie evenly apart: places and steps in bytes.
  struct Run {
    let count: Int
    let source: (start: Int, step: Int)
    let target: (start: Int, step: Int)
  }

  let region: FileRegion
  private var buffer: [UInt8] = []
  private var start = 0

  private static let refill = 1 << 14

  init(region: FileRegion) { self.region = region }

  /// Copies a run of elements of `width` bytes.
  mutating func copy(
    _ run: Run,
    width: Int,
    into target: UnsafeMutableRawBufferPointer
  ) throws {
    var done = 0
    while done < run.count {
      let first = run.source.start + done * run.source.step
      var offset = first - start
      if offset < 0 || offset + width > buffer.count {
        buffer = try region.bytes(first..<min(region.length, first + ForwardBytes.refill))
        start = first
        offset = 0
      }
      let rest = run.count - done
      let room = buffer.count - offset - width
      let part = Run(
        count: run.source.step == 0 ? rest : min(rest, room / run.source.step + 1),
        source: (offset, run.source.step),
        target: (run.target.start + done * run.target.step, run.target.step)
      )
      unsafe buffer.withUnsafeBytes { source in
        switch width {
        case 1: unsafe ForwardBytes.move(part, as: UInt8.self, from: source, to: target)
        case 2: unsafe ForwardBytes.move(part, as: UInt16.self, from: source, to: target)
        case 4: unsafe ForwardBytes.move(part, as: UInt32.self, from: source, to: target)
        case 8: unsafe ForwardBytes.move(part, as: UInt64.self, from: source, to: target)
        default: unsafe ForwardBytes.move(part, as: SIMD2<UInt64>.self, from: source, to: target)
        }
      }
      done += part.count
    }
  }

  private static func move<Element: BitwiseCopyable>(
    _ run: Run,
    as type: Element.Type,
    from source: UnsafeRawBufferPointer,
    to target: UnsafeMutableRawBufferPointer
  ) {
    for index in 0..<run.count {
      let element = unsafe source.loadUnaligned(
        fromByteOffset: run.source.start + index * run.source.step,
        as: type
      )
      unsafe target.storeBytes(
        of: element,
        toByteOffset: run.target.start + index * run.target.step,
        as: type
      )
    }
  }
}
