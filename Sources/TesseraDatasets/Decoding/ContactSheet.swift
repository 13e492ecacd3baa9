package import TesseraImages

/// Pictures side by side: rows of cells, each an original beside its reconstruction, or the
/// reconstruction alone.
package struct ContactSheet: Sendable {
  /// The number of cells in a row.
  package static let columns = 4
  /// The white space around each picture, in pixels.
  package static let gap = 4

  private var cells: [[RGBImage]] = []
  private let capacity: Int

  /// Creates an empty sheet.
  ///
  /// - Parameter capacity: How many cells it takes; further ones are passed over.
  package init(capacity: Int) {
    self.capacity = capacity
  }

  /// Whether nothing was added.
  package var isEmpty: Bool { cells.isEmpty }

  /// Adds a cell, where there is room.
  package mutating func add(original: RGBImage?, reconstruction: RGBImage) {
    guard cells.count < capacity else { return }
    cells.append([original, reconstruction].compactMap { $0 })
  }

  /// The sheet: every picture takes the place of the largest, white where there is none.
  package var image: RGBImage {
    let pictures = cells.joined()
    let cellWidth = (pictures.map(\.width).max() ?? 0) + Self.gap
    let cellHeight = (pictures.map(\.height).max() ?? 0) + Self.gap
    let perCell = cells.map(\.count).max() ?? 1
    let columns = min(Self.columns, max(1, cells.count))
    let rows = (cells.count + columns - 1) / columns
    let width = columns * perCell * cellWidth + Self.gap
    let height = rows * cellHeight + Self.gap
    var pixels = [UInt8](repeating: 255, count: width * height * 3)
    for (number, cell) in cells.enumerated() {
      let top = number / columns * cellHeight + Self.gap
      // A reconstruction without its original stands where it would stand beside one.
      let first = number % columns * perCell + perCell - cell.count
      for (index, picture) in cell.enumerated() {
        let left = (first + index) * cellWidth + Self.gap
        for row in 0..<picture.height {
          let source = row * picture.width * 3
          let target = ((top + row) * width + left) * 3
          pixels.replaceSubrange(
            target..<target + picture.width * 3,
            with: picture.pixels[source..<source + picture.width * 3]
          )
        }
      }
    }
    return RGBImage(width: width, height: height, pixels: pixels)
  }
}
