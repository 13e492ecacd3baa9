/// A picture as decoders fill it and resampling reads it: four bytes per pixel, the fourth without meaning.
struct RGBXImage: Hashable, Sendable {
  /// Readable bytes behind the last pixel, so that vector loads and stores need no tail.
  static let slack = 64

  let width: Int
  let height: Int
  /// height × width × 4 bytes, then `slack` more.
  private(set) var bytes: [UInt8]

  /// The bytes from one row to the next.
  var stride: Int { width * 4 }

  /// Creates a picture whose every byte of pixels `fill` writes.
  init<Failure: Error>(
    width: Int,
    height: Int,
    fill: (UnsafeMutablePointer<UInt8>) throws(Failure) -> Void
  ) throws(Failure) {
    let count = width * height * 4
    var failure: Failure?
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count + Self.slack) { buffer, written in
      guard let base = buffer.baseAddress else { return }
      do throws(Failure) {
        try unsafe fill(base)
        unsafe (base + count).initialize(repeating: 0, count: Self.slack)
        written = count + Self.slack
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    self.width = width
    self.height = height
    self.bytes = bytes
  }

  /// The picture without the fourth bytes, inside `box`, in the middle of a canvas.
  func packed(box: PixelBox, canvas: ImageSize, fill: UInt8 = 0) -> RGBImage {
    let left = (canvas.width - box.width) / 2
    let top = (canvas.height - box.height) / 2
    var pixels = [UInt8](repeating: fill, count: canvas.width * canvas.height * 3)
    unsafe pixels.withUnsafeMutableBufferPointer { target in
      unsafe bytes.withUnsafeBufferPointer { source in
        for y in 0..<box.height {
          var from = (box.top + y) * stride + box.left * 4
          var to = ((top + y) * canvas.width + left) * 3
          for _ in 0..<box.width {
            unsafe target[to] = source[from]
            unsafe target[to + 1] = source[from + 1]
            unsafe target[to + 2] = source[from + 2]
            from += 4
            to += 3
          }
        }
      }
    }
    return RGBImage(width: canvas.width, height: canvas.height, pixels: pixels)
  }

  /// The whole picture without the fourth bytes.
  var packed: RGBImage {
    packed(box: PixelBox(size: size), canvas: size)
  }

  /// Width and height.
  var size: ImageSize { ImageSize(width: width, height: height) }
}
