# -DVIT22B_DEPS=PREFIX: headers and libraries of a prefix, as a distribution's packages unpacked there (PREFIX/usr) or a package
# manager's own (PREFIX), for machines where one is not root. What they need in turn is found there too: a run path that reaches it.

set(VIT22B_DEPS "" CACHE PATH "prefix of headers and libraries beside the system's")
if(VIT22B_DEPS)
  list(PREPEND CMAKE_PREFIX_PATH "${VIT22B_DEPS}/usr" "${VIT22B_DEPS}")
  add_link_options(-Wl,--disable-new-dtags)
  foreach(folder usr/include/${CMAKE_LIBRARY_ARCHITECTURE} usr/include include)
    if(IS_DIRECTORY "${VIT22B_DEPS}/${folder}")
      include_directories(SYSTEM "${VIT22B_DEPS}/${folder}")
    endif()
  endforeach()
  foreach(folder usr/lib/${CMAKE_LIBRARY_ARCHITECTURE} usr/lib lib64 lib)
    if(IS_DIRECTORY "${VIT22B_DEPS}/${folder}")
      list(APPEND VIT22B_DEPS_RPATH "${VIT22B_DEPS}/${folder}")
      add_link_options("-Wl,-rpath-link,${VIT22B_DEPS}/${folder}")
    endif()
  endforeach()
endif()
